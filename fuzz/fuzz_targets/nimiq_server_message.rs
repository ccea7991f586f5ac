#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wire::fuzz::nimiq_server_message(data));
