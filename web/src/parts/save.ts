/** A file that leaves the page. */
export function save(name: string, type: string, data: Uint8Array<ArrayBuffer> | string): void {
    const url = URL.createObjectURL(new Blob([data], { type }));
    const link = document.createElement("a");
    link.href = url;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
