//! Redis behind TLS: with the feature `tls` it is spoken to, and every wrong certificate is named; without, it is said
//! how to build it in.

use crate::util::*;

#[cfg(not(feature = "tls"))]
#[test]
fn without_the_feature_it_is_said_how_to_build_it_in() {
    let scene = Scene::new();
    scene.append("app.log", text(0..1));
    for args in [&["watch", "--once", "app.log"][..], &["subscribe"]] {
        let run = scene.tailcast(args).args(["--redis", "rediss://h/"]).run();
        run.assert_fails(1, &["--features tls"]);
    }
}

#[cfg(feature = "tls")]
mod with_tls {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::*;

    /// A folder of certificates: `ca`, and what it has signed.
    struct Authority {
        folder: tempfile::TempDir,
    }

    impl Authority {
        fn new() -> Authority {
            let folder = tempfile::TempDir::new().expect("create a folder");
            let authority = Authority { folder };
            let subject = [
                "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test",
            ];
            let files = ["-keyout", "ca.key", "-out", "ca.crt", "-days", "2"];
            authority.openssl(&[&["req"], &subject[..], &files[..]].concat());
            authority
        }

        fn openssl(&self, args: &[&str]) {
            let output = Command::new("openssl")
                .args(args)
                .current_dir(self.folder.path())
                .output()
                .expect("run openssl");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "openssl {args:?}: {said}");
        }

        fn file(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        /// Signs a certificate for this host, valid for so many days.
        fn sign(&self, name: &str, host: &str, days: &str) {
            let (key, request) = (format!("{name}.key"), format!("{name}.csr"));
            let (certificate, extensions) = (format!("{name}.crt"), format!("{name}.ext"));
            let subject = format!("/CN={name}");
            let new = ["req", "-newkey", "rsa:2048", "-nodes", "-subj", &subject];
            self.openssl(&[&new[..], &["-keyout", &key, "-out", &request]].concat());
            let names = format!("basicConstraints=CA:FALSE\nsubjectAltName={host}\n");
            std::fs::write(self.file(&extensions), names).expect("write");
            let sign = [
                "x509",
                "-req",
                "-CA",
                "ca.crt",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
            ];
            let files = [
                "-in",
                &request,
                "-out",
                &certificate,
                "-extfile",
                &extensions,
            ];
            self.openssl(&[&sign[..], &files[..], &["-days", days]].concat());
        }

        /// A scene whose Redis also listens for TLS, with this certificate. Its port comes with it.
        fn scene(&self, name: &str, clients: &str) -> (Scene, u16) {
            let port = free_port();
            let path = |name: String| self.file(&name).to_str().expect("UTF-8").to_string();
            let (cert, key) = (path(format!("{name}.crt")), path(format!("{name}.key")));
            let (ca, port_text) = (path("ca.crt".into()), port.to_string());
            let args = ["--tls-port", &port_text, "--tls-cert-file", &cert];
            let more = ["--tls-key-file", &key, "--tls-ca-cert-file", &ca];
            let clients = ["--tls-auth-clients", clients];
            let args = [&args[..], &more[..], &clients[..]].concat();
            (Scene::with(Redis::start_with(&args)), port)
        }
    }

    fn once(scene: &Scene, port: u16, ca: &Path, args: &[&str]) -> Finished {
        let url = format!("rediss://127.0.0.1:{port}/");
        let watch = scene.watch_through(&url, "app.log").arg("--once");
        watch.arg("--tls-ca").arg(ca).args(args).run()
    }

    #[test]
    fn lines_go_through_tls_in_each_direction() {
        let authority = Authority::new();
        authority.sign("server", "IP:127.0.0.1", "2");
        for mode in ["pubsub", "list", "stream"] {
            let (scene, port) = authority.scene("server", "no");
            let oracle = scene.subscriber();
            let ca = authority.file("ca.crt");
            let url = format!("rediss://127.0.0.1:{port}/");
            let subscriber = scene
                .tailcast(&["subscribe", "--redis", &url, "--tls-ca"])
                .arg(&ca)
                .spawn();
            wait_until("it subscribes", || {
                let list: String = scene.redis.ask(&["CLIENT", "LIST", "TYPE", "pubsub"]);
                list.contains("name=tailcast-subscribe")
            });
            scene.append("app.log", text(0..20_000));
            once(&scene, port, &ca, &["--mode", mode]).assert_silent_success();
            assert_exactly(&lines(0..20_000), &scene.arrived(mode, &oracle));
            if mode == "pubsub" {
                wait_until("the subscriber has all", || {
                    subscriber.stdout().starts_with(text(0..20_000).as_bytes())
                });
            }
            subscriber.sigterm();
        }
    }

    #[test]
    fn a_wrong_certificate_is_refused_with_what_is_wrong_with_it() {
        let authority = Authority::new();
        let stranger = Authority::new();
        authority.sign("server", "IP:127.0.0.1", "2");
        authority.sign("elsewhere", "DNS:redis.example.com", "2");
        authority.sign("expired", "IP:127.0.0.1", "0");
        let cases = [
            ("server", &stranger, "--tls-ca"),
            ("elsewhere", &authority, "not valid for name"),
            ("expired", &authority, "expired"),
        ];
        for (certificate, trusted, words) in cases {
            let (scene, port) = authority.scene(certificate, "no");
            let oracle = scene.subscriber();
            scene.append("app.log", text(0..10));
            let ca = trusted.file("ca.crt");
            let mut said = String::new();
            // A certificate of zero days expires within the second.
            wait_until("it is refused", || {
                let run = once(&scene, port, &ca, &["--reset"]);
                said = run.stderr;
                run.code == 1
            });
            assert!(said.contains(words), "{certificate}: {said}");
            if certificate != "expired" {
                assert_exactly::<&str, _>(&[], &oracle.settle());
            }
        }
    }

    #[test]
    fn a_server_that_asks_for_a_certificate_gets_one() {
        let authority = Authority::new();
        authority.sign("server", "IP:127.0.0.1", "2");
        authority.sign("watcher", "DNS:watcher", "2");
        let (scene, port) = authority.scene("server", "yes");
        let oracle = scene.subscriber();
        scene.append("app.log", text(0..10));
        let ca = authority.file("ca.crt");
        once(&scene, port, &ca, &[]).assert_fails(1, &["--tls-cert"]);
        let files = ["watcher.crt", "watcher.key"].map(|name| authority.file(name));
        let files = files.map(|file| file.to_str().expect("UTF-8").to_string());
        once(&scene, port, &ca, &["--tls-cert", &files[0]]).assert_fails(2, &["--tls-key"]);
        let both = ["--tls-cert", &files[0], "--tls-key", &files[1]];
        once(&scene, port, &ca, &both).assert_silent_success();
        assert_exactly(&lines(0..10), &oracle.settle());
    }

    /// Stands before a Redis that listens for TLS: so often it says that it cannot serve, as a terminator does whose
    /// backend restarts; then it passes connections on.
    fn terminator(redis: u16, alerts: usize) -> u16 {
        const INTERNAL_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("listen");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            for (number, mut client) in listener.incoming().flatten().enumerate() {
                if number < alerts {
                    // Its hello is read first, as closing over it would be a reset.
                    let _ = client.read(&mut [0; 4096]);
                    let _ = client.write_all(&INTERNAL_ERROR);
                    continue;
                }
                let redis = TcpStream::connect(("127.0.0.1", redis)).expect("connect");
                for (from, to) in [(&client, &redis), (&redis, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                }
            }
        });
        port
    }

    #[test]
    fn a_terminator_whose_backend_restarts_is_waited_for() {
        let authority = Authority::new();
        authority.sign("server", "IP:127.0.0.1", "2");
        let (scene, port) = authority.scene("server", "no");
        let oracle = scene.subscriber();
        scene.append("app.log", text(0..10));
        let url = format!("rediss://127.0.0.1:{}/", terminator(port, 3));
        let watcher = scene.watch_through(&url, "app.log").arg("--tls-ca");
        let watcher = watcher.arg(authority.file("ca.crt")).spawn();
        watcher.wait_says("InternalError");
        scene.assert_arrives(watcher, &oracle, &lines(0..10));
    }
}
