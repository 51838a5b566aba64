//! Black-box scenarios: the built binary, a real redis-server, one file per hazard.

#[path = "../util/mod.rs"]
mod util;

mod bad_input;
mod checkpoint;
mod commit_record;
mod crash_points;
mod cut_connections;
mod disk_full;
mod end_to_end;
mod lock;
mod logrotate;
mod many_files;
mod memory;
mod redis_absent;
mod redis_errors;
mod redis_killed;
mod redis_stopped;
mod refused_lines;
mod rotation;
mod rotation_while_down;
mod same_name;
mod signals;
mod starting_point;
mod status;
mod subscribe;
mod take_over;
mod two_watchers;
mod zombie;
