// The decode kernels: the segments of a block. One workgroup a block, so that its segments share one decode table. A coder
// defines its number, CODER; the type of a lane's state, STATE; and the functions declared below.
//
// variant: subgroup32.16bit SUBGROUP=32 STREAMS=2 WORKGROUP=256 STORAGE16=1
// variant: subgroup32 SUBGROUP=32 STREAMS=2 WORKGROUP=256
// variant: subgroup64.16bit SUBGROUP=64 STREAMS=2 WORKGROUP=256 STORAGE16=1
// variant: subgroup64 SUBGROUP=64 STREAMS=2 WORKGROUP=256
// variant: subgroup16.16bit SUBGROUP=16 STREAMS=1 WORKGROUP=256 STORAGE16=1
// variant: subgroup16 SUBGROUP=16 STREAMS=1 WORKGROUP=256
// variant: subgroup8.16bit SUBGROUP=8 STREAMS=1 WORKGROUP=128 STORAGE16=1
// variant: subgroup8 SUBGROUP=8 STREAMS=1 WORKGROUP=128
// variant: subgroup4 SUBGROUP=4 STREAMS=1 WORKGROUP=64
// variant: shared SHARED=1 STREAMS=1 WORKGROUP=64

#ifdef STORAGE16
#extension GL_EXT_shader_16bit_storage : require
#define WORD uint16_t
#else
#define WORD uint
#endif
#include "lanes.glsl"

// The largest table log of the batch.
layout(constant_id = 1) const uint MAX_TABLE_LOG = 12u;

#include "decode.glsl"

layout(push_constant) uniform DecodePush {
    uint segment_log;
};
layout(std430, binding = 0) readonly buffer Blocks { DecodeBlock blocks[]; };
layout(std430, binding = 1) readonly buffer Payload { WORD payload[]; };
layout(std430, binding = 2) readonly buffer Tables { uint tables[]; };
layout(std430, binding = 3) readonly buffer Streams { uint streams[]; };
layout(std430, binding = 4) buffer Status { uint status[]; };
layout(std430, binding = 5) writeonly buffer Raw { uint raw[]; };

// The coder's own entries, the symbol in the lowest byte of each.
shared uint table[1u << MAX_TABLE_LOG];
// The last bytes of each segment in work: at most 127 symbols of a partial tile and 64 seed bytes.
#define TAIL_WORDS 48u
#define ALL_TAILS (GROUPS * STREAMS * TAIL_WORDS)
#ifndef LEAST_TAILS
#define LEAST_TAILS 1u
#endif
shared uint tails[ALL_TAILS > LEAST_TAILS ? ALL_TAILS : LEAST_TAILS];
// The first fault: segment << 8 | number of the check << 4 | fault.
shared uint first_fault;

uint table_log;

uint payload_word(uint i) {
#ifdef STORAGE16
    return uint(payload[i]);
#else
    return bitfieldExtract(payload[i >> 1], int(i << 4 & 16u), 16);
#endif
}

#include "slots.glsl"

// What a coder defines. Fills table[] from cums[]; called in uniform control flow, with a barrier before and after.
void fill_table();
// Whether an initial state is possible, and the state.
bool is_initial(uint word);
STATE initial_state(uint word);
// The entry that decides what the lane does next.
uint look_up(STATE x);
// What comes before the word: whether one is needed.
bool take_symbol(inout STATE x, uint entry);
void take_word(inout STATE x, uint word);
// What comes after it.
void finish_symbol(inout STATE x, uint entry);
// The seed of a final state, in the low half; the high half is 0 if the state can be a final one.
uint seed_of(STATE x);

void build_table(uint block) {
    for (uint s = gl_LocalInvocationIndex; s < 256u; s += gl_WorkGroupSize.x) cums[s] = tables[256u * block + s];
    barrier();
    fill_table();
    barrier();
}

// One segment in work.
struct Stream {
    STATE x[LANES];
    // The next word and the end of the words.
    uint p, end;
    // Bytes of the segment and of its body; 0 if there is no such segment.
    uint size, body;
    // First word of its raw bytes.
    uint raw;
};

// Decodes a symbol on each of the first lanes, those whose symbol of step s is before `limit`, into the next byte of
// its quad. With `checked` false all lanes are among them and the stream holds all words that they can take; else no
// word past the end is read.
void decode_step(const bool checked, uint s, uint limit, inout Stream stream, inout uint quad[LANES]) {
    STATE x[LANES];
    uint entry[LANES];
    bool need[LANES];
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        bool live = !checked || 4u * lane(j) + s < limit;
        x[j] = stream.x[j];
        entry[j] = look_up(x[j]);
        quad[j] = quad[j] >> 8 | (live ? entry[j] << 24 : 0u);
        need[j] = take_symbol(x[j], entry[j]) && live;
    }
    uint at[LANES];
    claim(stream.p, need, at);
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        if (need[j]) take_word(x[j], !checked || at[j] < stream.end ? payload_word(at[j]) : 0u);
        finish_symbol(x[j], entry[j]);
        if (!checked || 4u * lane(j) + s < limit) stream.x[j] = x[j];
    }
}

// Decodes a tile of each stream, or the first `limits` symbols of it.
void decode_tile(const bool checked, uint limits[STREAMS], inout Stream streams[STREAMS], out uint quads[STREAMS][LANES]) {
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
        [[unroll]] for (uint j = 0u; j < LANES; j++) quads[k][j] = 0u;
    }
    UNROLL_STEPS for (uint s = 0u; s < 4u; s++) {
        [[unroll]] for (uint k = 0u; k < STREAMS; k++) decode_step(checked, s, limits[k], streams[k], quads[k]);
    }
}

void check(bool good, uint segment, uint number, uint fault) {
    if (!good) atomicMin(first_fault, segment << 8 | number << 4 | fault);
}

Stream open(DecodeBlock block, uint segment) {
    Stream stream;
    uint begin = min(segment << segment_log, block.raw_size);
    stream.size = min(block.raw_size - begin, 1u << segment_log);
    stream.body = max(stream.size, 64u) - 64u;
    stream.raw = block.raw + begin / 4u;
    stream.p = 0u;
    stream.end = 0u;
    [[unroll]] for (uint j = 0u; j < LANES; j++) stream.x[j] = initial_state(0x10000u);
    if (stream.size > 0u) {
        uint own = block.streams + segment;
        stream.p = streams[own] + 64u;
        stream.end = streams[own + 1u];
        [[unroll]] for (uint j = 0u; j < LANES; j++) {
            uint at = stream.p - 64u + 2u * lane(j);
            uint word = payload_word(at) | payload_word(at + 1u) << 16;
            check(is_initial(word), segment, 0u, FAULT_FINAL_STATE);
            stream.x[j] = initial_state(word);
        }
    }
    return stream;
}

// Adds the seed to the tail and checks how the segment ends.
void close(uint segment, uint tail, Stream stream) {
    uint seeds = stream.size - stream.body;
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        uint end = seed_of(stream.x[j]);
        uint seed = end & 0xffffu;
        uint at = stream.body % TILE + 2u * lane(j);
        atomicOr(tails[tail + at / 4u], seed << 8u * (at % 4u));
        if (at % 4u == 3u) atomicOr(tails[tail + at / 4u + 1u], seed >> 8);
        if (stream.size > 0u) {
            uint kept = min(max(seeds, 2u * lane(j)) - 2u * lane(j), 2u);
            check(stream.p == stream.end, segment, 1u, FAULT_STREAM);
            check(end >> 16 == 0u, segment, 2u, FAULT_FINAL_STATE);
            check(seed >> 8u * kept == 0u, segment, 2u, FAULT_FINAL_STATE);
        }
    }
}

#if WIDTH == 32
// Loads a line of each stream that will be needed two tiles on, so that it is in the cache by then; a value is used only
// a tile after it was loaded, and for nothing.
uint ahead[STREAMS];
uint touched = 0u;

void touch_ahead(Stream streams[STREAMS]) {
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
        touched ^= ahead[k];
        ahead[k] = payload_word(min(streams[k].p + TILE + 2u * lane(0u), streams[k].end - 1u));
    }
}
#endif

void main() {
    DecodeBlock block = blocks[gl_WorkGroupID.x];
    if (block.coder != CODER || status[gl_WorkGroupID.x] != 0u) return;
    table_log = min(block.table_log, MAX_TABLE_LOG);
#if WIDTH == 32
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) ahead[k] = 0u;
#endif
    if (gl_LocalInvocationIndex == 0u) first_fault = NO_FAULT;
    build_table(gl_WorkGroupID.x);

    uint segments = (block.raw_size + (1u << segment_log) - 1u) >> segment_log;
    for (uint base = 0u; base < segments; base += GROUPS * STREAMS) {
        uint segment = base + group() * STREAMS;
        Stream streams[STREAMS];
        [[unroll]] for (uint k = 0u; k < STREAMS; k++) streams[k] = open(block, segment + k);

        uint tail = group() * STREAMS * TAIL_WORDS;
        for (uint i = lane(0u); i < STREAMS * TAIL_WORDS; i += WIDTH) tails[tail + i] = 0u;
        barrier();

        // Only the last segment of a block is short: none is longer than the first of those in step. Symbols past the
        // last whole tile go to the tail.
        uint first = min((base + first_group_in_step() * STREAMS) << segment_log, block.raw_size);
        uint most = (max(min(block.raw_size - first, 1u << segment_log), 64u) - 64u) / TILE;
        uint whole = ~0u;
        [[unroll]] for (uint k = 0u; k < STREAMS; k++) whole = min(whole, streams[k].body / TILE);
        for (uint tile = 0u; tile <= most; tile++) {
            uint limits[STREAMS];
            uint quads[STREAMS][LANES];
#ifdef FAST_PATH
            bool safe = tile < whole;
            [[unroll]] for (uint k = 0u; k < STREAMS; k++) safe = safe && streams[k].p + TILE <= streams[k].end;
            if (all_groups(safe)) {
#if WIDTH == 32
                touch_ahead(streams);
#endif
                decode_tile(false, limits, streams, quads);
                [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
                    [[unroll]] for (uint j = 0u; j < LANES; j++) {
                        raw[streams[k].raw + tile * (TILE / 4u) + lane(j)] = quads[k][j];
                    }
                }
                continue;
            }
#endif
            [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
                limits[k] = min(streams[k].body - min(streams[k].body, tile * TILE), TILE);
            }
            decode_tile(true, limits, streams, quads);
            [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
                [[unroll]] for (uint j = 0u; j < LANES; j++) {
                    if (limits[k] == TILE) raw[streams[k].raw + tile * (TILE / 4u) + lane(j)] = quads[k][j];
                    else if (limits[k] > 0u) tails[tail + k * TAIL_WORDS + lane(j)] = quads[k][j];
                }
            }
        }
        barrier();
        [[unroll]] for (uint k = 0u; k < STREAMS; k++) close(segment + k, tail + k * TAIL_WORDS, streams[k]);
        barrier();
        [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
            uint done = streams[k].body / TILE * TILE;
            for (uint i = lane(0u); 4u * i < streams[k].size - done; i += WIDTH) {
                raw[streams[k].raw + done / 4u + i] = tails[tail + k * TAIL_WORDS + i];
            }
        }
        barrier();
    }
#if WIDTH == 32
    // Never so, which compilers cannot know.
    if (block.raw_size == ~0u) raw[block.raw] = touched;
#endif
    if (gl_LocalInvocationIndex == 0u) status[gl_WorkGroupID.x] = first_fault == NO_FAULT ? 0u : first_fault & 15u;
}
