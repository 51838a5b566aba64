use crate::*;
pub fn run(_: &cli::Generate, _: &std::sync::atomic::AtomicBool) -> Result<()> {
    Ok(())
}
