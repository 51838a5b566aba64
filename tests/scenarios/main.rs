//! Black-box scenarios: the built binary, a real redis-server, one file per hazard.

#[path = "../util/mod.rs"]
mod util;

mod bad_input;
mod checkpoint;
mod come_and_go;
mod commit_record;
mod compressed;
mod copytruncate;
mod crash_points;
mod cut_connections;
mod disk_full;
mod end_to_end;
mod gaps;
mod globs;
mod hold;
mod holes;
mod hostile_siblings;
mod lock;
mod logrotate;
mod long_paths;
mod many_files;
mod many_globs;
mod memory;
mod once;
mod python_handlers;
mod redis_absent;
mod redis_errors;
mod redis_killed;
mod redis_stopped;
mod refused_lines;
mod rotated_names;
mod rotation;
mod rotation_while_down;
mod same_file_twice;
mod same_name;
mod signals;
mod starting_point;
mod status;
mod strangers;
mod subscribe;
mod symlinks;
mod take_over;
mod two_watchers;
mod unterminated;
mod zombie;
