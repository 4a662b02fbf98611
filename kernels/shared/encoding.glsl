// The encode kernels: the segments of a block. One workgroup a block. Symbols are taken backward and words are emitted
// backward, from the end of each segment's space, so that the stream reads forward. A coder defines its number, CODER; the
// types of a lane's state and of what it knows of a symbol, STATE and ENTRY; and the functions declared below.
//
// variant: subgroup32 SUBGROUP=32 STREAMS=2 WORKGROUP=256
// variant: subgroup64 SUBGROUP=64 STREAMS=2 WORKGROUP=256
// variant: subgroup16 SUBGROUP=16 STREAMS=1 WORKGROUP=256
// variant: subgroup8 SUBGROUP=8 STREAMS=1 WORKGROUP=128
// variant: subgroup4 SUBGROUP=4 STREAMS=1 WORKGROUP=64
// variant: shared SHARED=1 STREAMS=1 WORKGROUP=64

#include "lanes.glsl"
#include "encode.glsl"

layout(push_constant) uniform EncodePush {
    uint segment_log;
};
layout(std430, binding = 0) readonly buffer Blocks { EncodeBlock blocks[]; };
layout(std430, binding = 1) readonly buffer Raw { uint raw[]; };
layout(std430, binding = 2) readonly buffer Infos { EncodeInfo infos[]; };
layout(std430, binding = 3) readonly buffer Entries { uint entries[]; };
// Words of each segment's stream, initial states not counted.
layout(std430, binding = 4) writeonly buffer Counts { uint counts[]; };
// The streams, each at the end of its space; two words in a u32.
layout(std430, binding = 5) writeonly buffer Scratch { uint scratch[]; };

// Words not yet written out: fewer than 64 are left over, and a tile adds at most 128.
#define RING 256u
#define ALL_RINGS (GROUPS * STREAMS * RING)
#ifndef LEAST_RINGS
#define LEAST_RINGS RING
#endif
shared uint rings[ALL_RINGS > LEAST_RINGS ? ALL_RINGS : LEAST_RINGS];

uint table_log;

// What a coder defines. Makes ready for a block, from its 512 words of entries[]; called in uniform control flow, with a
// barrier after it.
void fill_table(uint first);
// The state that holds a seed of 16 bits.
STATE seeded_state(uint seed);
ENTRY look_up(uint symbol);
// What comes before the word: whether one is too much.
bool put_symbol(inout STATE x, ENTRY entry);
// Takes a word off, in the low half.
uint give_word(inout STATE x);
// What comes after it.
void finish_symbol(inout STATE x, ENTRY entry);
// The state as written.
uint initial_word(STATE x);

// One segment in work.
struct Stream {
    STATE x[LANES];
    // Positions in its space in words: the last word emitted, and the last one written out.
    uint p, written;
    uint ring;
    uint space;
    // First word of its raw bytes.
    uint raw;
    // Bytes of the segment and of its body; 0 if there is no such segment.
    uint size, body;
};

// Encodes a symbol on each of the first lanes: those whose symbol of step s is before `limit`. With `checked` false all
// lanes are among them.
void encode_step(const bool checked, uint s, uint limit, uint quad[LANES], inout Stream stream) {
    STATE x[LANES];
    ENTRY entry[LANES];
    bool need[LANES];
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        x[j] = stream.x[j];
        entry[j] = look_up(quad[j] >> 8u * s & 0xffu);
        need[j] = put_symbol(x[j], entry[j]);
        if (checked) need[j] = need[j] && 4u * lane(j) + s < limit;
    }
    uint at[LANES];
    claim_back(stream.p, need, at);
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        if (need[j]) rings[stream.ring + at[j] % RING] = give_word(x[j]);
        finish_symbol(x[j], entry[j]);
        if (!checked || 4u * lane(j) + s < limit) stream.x[j] = x[j];
    }
}

// Symbols of a tile; none in the tile before the first, whose number is 2^32 - 1.
uint symbols_in(uint body, uint tile) { return min(body - min(body, tile * TILE), TILE); }

// Four symbols for each lane.
void load_tile(Stream streams[STREAMS], uint tile, out uint quads[STREAMS][LANES]) {
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
        uint count = symbols_in(streams[k].body, tile);
        [[unroll]] for (uint j = 0u; j < LANES; j++) {
            quads[k][j] = 4u * lane(j) < count ? raw[streams[k].raw + tile * (TILE / 4u) + lane(j)] : 0u;
        }
    }
}

// Encodes a tile of each stream, or the first `limits` symbols of it.
void encode_tile(const bool checked, uint limits[STREAMS], uint quads[STREAMS][LANES], inout Stream streams[STREAMS]) {
    UNROLL_STEPS for (uint s = 4u; s-- > 0u;) {
        [[unroll]] for (uint k = 0u; k < STREAMS; k++) encode_step(checked, s, limits[k], quads[k], streams[k]);
    }
}

// Writes out the words of positions written - 64 to written - 1, those before p as zero.
void write_out(inout Stream stream) {
    stream.written -= 64u;
    UNROLL_STEPS for (uint j = 0u; j < LANES; j++) {
        uint at = stream.written + 2u * lane(j);
        uint low = at >= stream.p ? rings[stream.ring + at % RING] : 0u;
        uint high = at + 1u >= stream.p ? rings[stream.ring + at % RING + 1u] : 0u;
        scratch[stream.space + at / 2u] = low | high << 16;
    }
}

void write_out_whole(inout Stream streams[STREAMS]) {
    group_barrier();
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
        UNROLL_STEPS for (uint i = 0u; i < 2u; i++) {
            if (streams[k].written - streams[k].p >= 64u) write_out(streams[k]);
        }
    }
    group_barrier();
}

uint raw_byte(uint word, uint i) { return raw[word + i / 4u] >> 8u * (i % 4u) & 0xffu; }

Stream open(EncodeBlock block, uint segment, uint ring) {
    Stream stream;
    stream.size = segment_size(block, segment, segment_log);
    stream.body = max(stream.size, 64u) - 64u;
    stream.space = segment_scratch(block, segment, segment_log);
    stream.p = stream_space(stream.size);
    stream.written = stream.p;
    stream.ring = ring;
    stream.raw = block.raw + (segment << segment_log) / 4u;
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        uint at = stream.body + 2u * lane(j);
        uint seed = 0u;
        if (at < stream.size) seed |= raw_byte(stream.raw, at);
        if (at + 1u < stream.size) seed |= raw_byte(stream.raw, at + 1u) << 8;
        stream.x[j] = seeded_state(seed);
    }
    return stream;
}

// The initial states as 64 more words, and whatever the ring still holds.
void close(EncodeBlock block, uint segment, inout Stream streams[STREAMS]) {
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
        if (streams[k].size == 0u) continue;
        if (lane(0u) == 0u) {
            uint count = stream_space(streams[k].size) - streams[k].p;
            counts[block.segment + segment + k] = count;
        }
        streams[k].p -= 64u;
        [[unroll]] for (uint j = 0u; j < LANES; j++) {
            uint at = streams[k].p + 2u * lane(j);
            uint word = initial_word(streams[k].x[j]);
            rings[streams[k].ring + at % RING] = word & 0xffffu;
            rings[streams[k].ring + (at + 1u) % RING] = word >> 16;
        }
    }
    write_out_whole(streams);
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
        if (streams[k].written > streams[k].p) write_out(streams[k]);
    }
    group_barrier();
}

void main() {
    EncodeBlock block = blocks[gl_WorkGroupID.x];
    EncodeInfo info = infos[gl_WorkGroupID.x];
    if (block.coder != CODER || info.kind != KIND_CODED) return;
    table_log = info.table_log;
    fill_table(512u * gl_WorkGroupID.x);
    barrier();

    uint segments = (block.raw_size + (1u << segment_log) - 1u) >> segment_log;
    for (uint base = 0u; base < segments; base += GROUPS * STREAMS) {
        uint segment = base + group() * STREAMS;
        Stream streams[STREAMS];
        [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
            streams[k] = open(block, segment + k, (group() * STREAMS + k) * RING);
        }

        // Only the last segment of a block is short: none is longer than the first of those in work. All groups go as
        // often through the barriers, since lavapipe takes a subgroup's barrier for the workgroup's.
        uint most = (max(segment_size(block, base, segment_log), 64u) - 64u + TILE - 1u) / TILE;
        // Symbols are loaded a tile ahead: memory answers after hundreds of cycles.
#ifdef FAST_PATH
        uint ahead[STREAMS][LANES];
        load_tile(streams, most - 1u, ahead);
#endif
        for (uint tile = most; tile-- > 0u;) {
            uint limits[STREAMS];
            bool whole = true;
            bool idle = true;
            uint quads[STREAMS][LANES];
#ifdef FAST_PATH
            quads = ahead;
            load_tile(streams, tile - 1u, ahead);
#else
            load_tile(streams, tile, quads);
#endif
            [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
                limits[k] = symbols_in(streams[k].body, tile);
                whole = whole && limits[k] == TILE;
                idle = idle && limits[k] == 0u;
            }
#ifdef FAST_PATH
            if (all_groups(whole)) encode_tile(false, limits, quads, streams);
            else
#endif
#ifdef SUBGROUP
            if (!all_groups(idle))
#endif
            encode_tile(true, limits, quads, streams);
            write_out_whole(streams);
        }
        close(block, segment, streams);
    }
}
