//! A server of one's own that is a base too, as `examples/own-base` shows it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use harness::{api::Api, base::Base, samples};

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_axum_server_becomes_a_base_with_a_capability_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(harness::bin_dir().unwrap().join("own-base"));
    let mut server = Server(command.arg(folder.path()).args(["127.0.0.1:0", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let word = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name)).unwrap().to_owned();
    let (api, gateway) = (Api::new(&format!("http://{}", word("api="))), word("gateway="));

    let greeter = samples::build("greeter", &[], None).unwrap();
    api.install_file(&greeter).unwrap();
    let get = |path: &str| ureq::get(format!("http://{gateway}{path}")).call().unwrap().body_mut().read_to_string().unwrap();
    assert_eq!(get("/"), "an ordinary axum server\n");
    assert_eq!(get("/greeter/ada"), "well met, ada, says the base to greeter\n");

    // Another base does not have it, and says what is missing.
    let other = Base::start(&[]).unwrap().api.install_file(&greeter).unwrap_err().to_string();
    assert!(other.contains("own-base:greeting/words"), "{other}");
}
