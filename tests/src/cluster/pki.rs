//! Certificates and kubeconfigs of one cluster.
//!
//! Invariant: a key exists for one cluster and one client and lives as long as the cluster's folder. Every component
//! comes with the name that Kubernetes' built-in RBAC knows it by, so a component that lacks a permission fails here as
//! it would elsewhere; only the administrator is in `system:masters`.

use std::{
    fmt::Write as _,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{Error, tools::search_path};

/// The first address of the services' range: the API server as pods see it.
pub(super) const SERVICE_IP: &str = "10.96.0.1";

/// Certificate names, subjects, and whether a kubeconfig is wanted.
const CLIENTS: [(&str, &str, bool); 6] = [
    ("admin", "/O=system:masters/CN=admin", true),
    (
        "apiserver-kubelet",
        "/O=system:masters/CN=apiserver-kubelet",
        false,
    ),
    ("controller-manager", "/CN=system:kube-controller-manager", true),
    ("scheduler", "/CN=system:kube-scheduler", true),
    ("proxy", "/CN=system:kube-proxy", true),
    ("node", "/O=system:nodes/CN=system:node:node1", true),
];

/// The folder of keys and certificates.
#[derive(Debug, Clone)]
pub(super) struct Pki {
    folder: PathBuf,
    server: String,
}

impl Pki {
    /// Makes everything for a cluster whose API server has this address.
    pub(super) fn new(state: &Path, address: Ipv4Addr) -> Result<Self, Error> {
        let pki = Self {
            folder: state.join("pki"),
            server: format!("https://{address}:6443"),
        };
        fs::create_dir_all(&pki.folder).map_err(Error::io("pki"))?;
        let authority = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";
        finish(vec![
            pki.certificate("ca", "/CN=zkinfer-test", authority, false)?,
            pki.account_key()?,
        ])?;

        let usage = "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n";
        let names = format!(
            "{usage}subjectAltName=IP:127.0.0.1,IP:{address},IP:{SERVICE_IP},DNS:localhost,DNS:kubernetes,\
             DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local\n"
        );
        let kubelet = format!("{usage}subjectAltName=IP:{address},DNS:node1\n");
        let mut running = vec![
            pki.certificate("apiserver", "/CN=kube-apiserver", &names, true)?,
            pki.certificate("kubelet", "/CN=node1", &kubelet, true)?,
        ];
        for (name, subject, _) in CLIENTS {
            running.push(pki.certificate(name, subject, usage, true)?);
        }
        finish(running)?;
        for (name, _, _) in CLIENTS.iter().filter(|client| client.2) {
            let user = format!(
                "client-certificate: {}, client-key: {}",
                pki.file(name, "crt"),
                pki.file(name, "key")
            );
            pki.write_kubeconfig(name, &user, "default")?;
        }
        Ok(pki)
    }

    /// The path of a certificate (`crt`) or key (`key`), as text for a flag.
    pub(super) fn file(&self, name: &str, ending: &str) -> String {
        self.folder.join(format!("{name}.{ending}")).display().to_string()
    }

    /// The path of a client's kubeconfig.
    pub(super) fn kubeconfig(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.conf"))
    }

    /// Writes a kubeconfig with this `user` (the inside of a YAML flow mapping).
    pub(super) fn write_kubeconfig(&self, name: &str, user: &str, namespace: &str) -> Result<PathBuf, Error> {
        let (server, authority) = (&self.server, self.file("ca", "crt"));
        let mut text = String::from("apiVersion: v1\nkind: Config\ncurrent-context: test\n");
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "clusters: [{{name: test, cluster: {{server: \"{server}\", certificate-authority: {authority}}}}}]\n\
             users: [{{name: test, user: {{{user}}}}}]\n\
             contexts: [{{name: test, context: {{cluster: test, user: test, namespace: {namespace}}}}}]"
        );
        let path = self.kubeconfig(name);
        fs::write(&path, text).map_err(Error::io(path.display().to_string()))?;
        Ok(path)
    }

    fn certificate(&self, name: &str, subject: &str, extensions: &str, signed: bool) -> Result<Child, Error> {
        let config = self.file(name, "cnf");
        let text = format!("[req]\ndistinguished_name=subject\n[subject]\n[extensions]\n{extensions}");
        fs::write(&config, text).map_err(Error::io(config.clone()))?;
        let mut openssl = openssl();
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "3",
        ]);
        openssl.args(["-config", &config, "-extensions", "extensions", "-subj", subject]);
        openssl.args([
            "-keyout",
            &self.file(name, "key"),
            "-out",
            &self.file(name, "crt"),
        ]);
        if signed {
            openssl.args(["-CA", &self.file("ca", "crt"), "-CAkey", &self.file("ca", "key")]);
        }
        openssl.spawn().map_err(Error::io("openssl"))
    }

    /// The key that signs service-account tokens; the API server takes the public half from the same file.
    fn account_key(&self) -> Result<Child, Error> {
        let mut openssl = openssl();
        openssl.args([
            "ecparam",
            "-name",
            "prime256v1",
            "-genkey",
            "-noout",
            "-out",
            &self.file("account", "key"),
        ]);
        openssl.spawn().map_err(Error::io("openssl"))
    }
}

fn openssl() -> Command {
    let mut command = Command::new("openssl");
    command
        .env("PATH", search_path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn finish(running: Vec<Child>) -> Result<(), Error> {
    for child in running {
        let output = child.wait_with_output().map_err(Error::io("openssl"))?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Error::Command {
                command: "openssl".into(),
                status: output.status,
                stderr,
            });
        }
    }
    Ok(())
}
