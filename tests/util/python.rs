//! A Python that has what a test imports.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

/// A Python that has `module`: that in PATH, the system's (a version manager's may stand before it), or one in an
/// environment of the tests' own, where pip installs `package`. None: there is no way to one here.
pub fn python_with(module: &str, package: &str) -> Option<String> {
    // Two tests at once must not make one environment.
    static ENVIRONMENTS: Mutex<()> = Mutex::new(());
    let _mine = ENVIRONMENTS
        .lock()
        .unwrap_or_else(|failed| failed.into_inner());

    let has_it = |python: &str| ran(python, &["-c", &format!("import {module}")]);
    if let Some(python) = ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(|python| has_it(python))
    {
        return Some(python.into());
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{package}"));
    let python = folder.join("bin/python").to_str()?.to_string();
    if !has_it(&python) {
        ran("python3", &["-m", "venv", folder.to_str()?]);
        ran(&python, &["-m", "pip", "install", "-q", package]);
    }
    has_it(&python).then_some(python)
}

fn ran(program: &str, arguments: &[&str]) -> bool {
    let done = Command::new(program).args(arguments).output();
    done.is_ok_and(|done| done.status.success())
}
