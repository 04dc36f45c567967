//! See `oracles/system_files.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::resolv_conf(data));
