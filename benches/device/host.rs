//! From host memory and back through the accelerator, as the engine uses it, beside what the link carries.

use std::time::Duration;

use ranvil::{
    DeviceSelector,
    coder::{BlockParams, Codec},
    format::BlockKind,
    testing::{CodedBlock, Gpu, LinkRates, Traffic},
};

use crate::{Args, Outcome, STAGING, median, rate};

/// Bytes of a copy by which the link is measured.
const LINK_COPY: u64 = 32 << 20;
/// Trips of which the median counts.
const TRIPS: usize = 7;

/// What travels, in both directions.
struct Load<'a> {
    raw: Vec<&'a [u8]>,
    coded: Vec<CodedBlock>,
    encode: Traffic,
    decode: Traffic,
}

/// Measures with the device's own ring, or with each of those given.
pub fn host_to_host(args: &Args, selector: &DeviceSelector, raw: &[u8]) -> Outcome {
    let mut load = load(args, raw)?;
    let mut gpu = Gpu::open(selector, STAGING)?;
    let link = gpu.link_rates(LINK_COPY)?;
    if let Some(LinkRates { up, down, both, cached }) = link {
        let [up, down, up_beside, down_beside] = [up, down, both.0, both.1].map(|rate| rate / 1e9);
        println!("link: up {up:.2} GB/s, down {down:.2} GB/s");
        println!("link, both at once: up {up_beside:.2} GB/s, down {down_beside:.2} GB/s");
        println!("downloads are read through the host's caches: {cached}");
    }
    if args.rings.is_empty() {
        return measure(args, &mut gpu, &mut load, link);
    }
    drop(gpu);
    for &(slots, mib) in &args.rings {
        let mut gpu = Gpu::open_with_ring(selector, slots, mib << 20)?;
        measure(args, &mut gpu, &mut load, link)?;
    }
    Ok(())
}

fn load<'a>(args: &Args, raw: &'a [u8]) -> Outcome<Load<'a>> {
    let Args { coder, segment_log, table_log, .. } = *args;
    let params = BlockParams { coder, segment_log, table_log };
    let blocks: Vec<&[u8]> = raw.chunks(args.block).collect();
    let mut codec = Codec::new(ranvil::Simd::Auto)?;
    let coded: Vec<CodedBlock> = blocks
        .iter()
        .map(|raw| {
            let mut payload = Vec::new();
            let encoded = codec.encode(raw, &params, &mut payload);
            if encoded.kind == BlockKind::Stored {
                payload = raw.to_vec();
            }
            CodedBlock {
                coder,
                kind: encoded.kind,
                table_log: encoded.table_log,
                segment_log,
                raw_size: raw.len() as u32,
                payload,
            }
        })
        .collect();
    let (encode, decode) = (Traffic::encode(&blocks, params), Traffic::decode(&coded));
    Ok(Load { raw: blocks, coded, encode, decode })
}

/// Seconds that so many bytes take on the link: both ways at once until one has finished, then the rest alone.
fn least_time(link: LinkRates, up: f64, down: f64) -> f64 {
    let both = (up / link.both.0).min(down / link.both.1);
    let (up, down) = (up - both * link.both.0, down - both * link.both.1);
    both + (up / link.up).max(down / link.down)
}

fn measure(args: &Args, gpu: &mut Gpu, load: &mut Load<'_>, link: Option<LinkRates>) -> Outcome {
    let (slots, batch, staging) = gpu.ring();
    println!(
        "ring: {slots} slots of {} MiB, {} MiB of staging, {} threads copy",
        batch >> 20,
        staging >> 20,
        args.threads
    );
    let Load { raw, coded, encode, decode } = load;
    let raw_bytes = raw.iter().map(|raw| raw.len()).sum::<usize>() as f64;
    let coded_bytes = coded.iter().map(|block| block.payload.len()).sum::<usize>() as f64;
    for (name, traffic, up, down) in [
        ("encode", &mut *encode, raw_bytes, coded_bytes),
        ("decode", &mut *decode, coded_bytes, raw_bytes),
    ] {
        let cold = gpu.send(traffic, args.threads)?.time;
        let trips = (0..TRIPS).map(|_| Ok(gpu.send(traffic, args.threads)?.time));
        let times: Vec<Duration> = trips.collect::<Outcome<_>>()?;
        let best = times.iter().min().copied().unwrap_or(cold);
        let time = median(times);
        let bytes = raw_bytes as u64;
        print!(
            "host to host, {name}     {:>9.2} GB/s (best {:.2}, first {:.2})",
            rate(bytes, time),
            rate(bytes, best),
            rate(bytes, cold)
        );
        if let Some(link) = link {
            let least = least_time(link, up, down);
            print!(
                ", {:.2} of the link's {:.2}",
                least / time.as_secs_f64(),
                raw_bytes / least / 1e9
            );
        }
        println!();
    }
    for ((encoded, payload), coded) in encode.encoded().zip(coded) {
        assert_eq!((encoded.kind, encoded.table_log), (coded.kind, coded.table_log));
        assert!(encoded.kind == BlockKind::Stored || payload == coded.payload, "other bytes");
    }
    assert!(decode.decoded().zip(raw).all(|(found, raw)| found == Ok(*raw)), "other bytes");
    Ok(())
}
