//! Images without a registry: built FROM scratch by buildah, and imported into a cluster's node.
//!
//! Invariant: nothing is pulled and no step runs a program (there is no network, and static binaries need no steps), so
//! an image is a function of its Containerfile and build context. buildah works in the sandbox, which takes whatever it
//! leaves along.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Cluster, Error, run};

impl Cluster {
    /// Builds an image from a Containerfile and the folder that it copies from; the path of a Docker archive, which
    /// lives as long as this cluster and can be imported by others too. `name` needs a host part and a tag, such as
    /// `zkinfer.test/worker:v1`.
    pub async fn build_image(
        &self,
        name: &str,
        containerfile: &Path,
        context: &Path,
    ) -> Result<PathBuf, Error> {
        let work = tempfile::tempdir_in(&self.state).map_err(Error::io("temporary folder"))?;
        let (root, temporary) = (work.path().join("root"), work.path().join("run"));
        let archive = self.state.join(format!("{}.tar", name.replace(['/', ':'], "_")));
        // A driver that copies works on every file system, and these images are one layer.
        let buildah = || {
            let mut buildah = self.sandbox.command("buildah");
            buildah
                .arg("--root")
                .arg(&root)
                .arg("--runroot")
                .arg(&temporary)
                .arg("--storage-driver=vfs");
            buildah
        };
        let mut build = buildah();
        build.args([
            "bud",
            "--quiet",
            "--network=none",
            "--pull-never",
            "--timestamp=0",
            "--tag",
            name,
        ]);
        build.arg("--file").arg(containerfile).arg(context);
        run(build.into(), format!("buildah bud {name}"), "").await?;
        // An archive that is there already would be added to.
        let _ = fs::remove_file(&archive);
        let mut push = buildah();
        push.args(["push", "--quiet", name])
            .arg(format!("docker-archive:{}:{name}", archive.display()));
        run(push.into(), format!("buildah push {name}"), "").await?;
        Ok(archive)
    }

    /// Builds an image of one static binary: entry point `/<file name>`, user 65532, nothing else inside.
    pub async fn wrap_binary(&self, name: &str, binary: &Path) -> Result<PathBuf, Error> {
        let work = tempfile::tempdir_in(&self.state).map_err(Error::io("temporary folder"))?;
        let (containerfile, context) = (work.path().join("Containerfile"), work.path().join("context"));
        let program = binary
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("program");
        let text = format!(
            "FROM scratch\nCOPY {program} /{program}\nUSER 65532:65532\nENTRYPOINT [\"/{program}\"]\n"
        );
        fs::write(&containerfile, text).map_err(Error::io("Containerfile"))?;
        fs::create_dir(&context).map_err(Error::io("build context"))?;
        fs::copy(binary, context.join(program)).map_err(Error::io(binary.display().to_string()))?;
        self.build_image(name, &containerfile, &context).await
    }

    /// Makes the images of a Docker or OCI archive known to the node. Pods of them need an `imagePullPolicy` other than
    /// `Always`.
    pub async fn import_image(&self, archive: &Path) -> Result<(), Error> {
        let mut ctr = self.sandbox.command("ctr");
        ctr.args(["--namespace=k8s.io", "images", "import"]).arg(archive);
        run(ctr.into(), format!("ctr images import {}", archive.display()), "")
            .await
            .map(drop)
    }
}
