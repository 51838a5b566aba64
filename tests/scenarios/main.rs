//! Black-box scenarios: the built binary, a real redis-server, one file per hazard.

#[path = "../util/mod.rs"]
mod util;

mod bad_input;
mod checkpoint;
mod end_to_end;
mod lock;
mod logrotate;
mod many_files;
mod memory;
mod redis_absent;
mod rotation;
mod rotation_while_down;
mod signals;
mod starting_point;
mod status;
mod subscribe;
