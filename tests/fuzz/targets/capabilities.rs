//! See `oracles/capabilities.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::capabilities(data));
