//! The container's image, without a container: its own command, as its user, with a volume as it hands it out.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use crate::util::*;

#[test]
fn the_image_begins_with_a_new_volume_whoever_its_user_is() {
    let scene = Scene::new();
    let is_root = chown(scene.home(), Some(0), Some(0)).is_ok();
    if !is_root || !installed("setpriv") {
        return skip("it takes root, and setpriv (util-linux), to be another user");
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Containerfile");
    let file = fs::read_to_string(file).expect("read the Containerfile");
    let word_after = |text: &str| {
        let rest = file.split_once(text).expect(text).1;
        rest.split_whitespace().next().expect("a word")
    };
    let volume = Path::new(word_after("\nVOLUME "));
    let state = Path::new(word_after("STATE_DIRECTORY="));
    let state = state.strip_prefix(volume).expect("below the volume");
    let mode = u32::from_str_radix(word_after(" chmod "), 8).expect("an octal mode");
    let open = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
    };
    open(scene.home(), 0o755);
    let program = scene.home().join("tailcast");
    fs::copy(env!("CARGO_BIN_EXE_tailcast"), &program).expect("copy the program");
    let users = [
        word_after("--user "),
        word_after("\nUSER "),
        "65534:4",
        "1000:1000",
    ];
    for (number, user) in users.into_iter().enumerate() {
        let (uid, gid) = user.split_once(':').expect("user and group");
        let home = scene.home().join(number.to_string());
        let (logs, new) = (home.join("logs"), home.join("volume"));
        for folder in [&logs, &new] {
            fs::create_dir_all(folder).expect("create a folder");
        }
        open(&home, 0o755);
        open(&logs, 0o755);
        open(&new, mode);
        let log = logs.join("app.log");
        for lines in [0..3, 0..5] {
            fs::write(&log, text(lines)).expect("write a log");
            open(&log, 0o640);
            chown(&log, Some(0), gid.parse().ok()).expect("chown");
            let run = std::process::Command::new("setpriv")
                .args(["--reuid", uid, "--regid", gid, "--clear-groups"])
                .arg(&program)
                .args(["watch", "--once", "--mode", "list", "--target", user])
                .arg(logs.join("*.log"))
                .env("STATE_DIRECTORY", new.join(state))
                .env("REDIS_URL", scene.redis.url())
                .output();
            let run = run.expect("run setpriv");
            let said = String::from_utf8_lossy(&run.stderr);
            assert!(run.status.success() && said.is_empty(), "{user}: {said}");
        }
        let arrived: Vec<String> = scene.redis.ask(&["LRANGE", user, "0", "-1"]);
        assert_exactly(&lines(0..5), &arrived);
    }
}
