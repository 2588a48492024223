//! The Java side, compiled by the build: internal names and bytes.

include!(concat!(env!("OUT_DIR"), "/classes.rs"));
