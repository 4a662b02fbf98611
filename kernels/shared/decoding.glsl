// The decode kernels: the segments of a block. One workgroup a block, so that its segments share one decode table. A coder
// declares its variants and defines CODER; WORD, the type of payload[], PAYLOAD_WORD(i), its stream's i-th word, UNIT (lanes.glsl), and
// PAYLOAD_ACCESS, `readonly` or nothing, whichever is faster (nobody writes it); STATE, that of a lane; WORD_BITS, LEAST and PLANES (states.glsl); SEED,
// bytes of the segment in a lane's final state; TILE_WORDS, which a tile takes at most; and the functions declared below.

#include "lanes.glsl"

// The largest table log of the batch.
layout(constant_id = 1) const uint MAX_TABLE_LOG = 12u;

#include "decode.glsl"

layout(push_constant) uniform DecodePush {
    uint segment_log;
};
layout(std430, binding = 0) readonly buffer Blocks { DecodeBlock blocks[]; };
// Behind the last payload are 1 KiB and twice a segment's size, which may be read but not used: see decode_fast and read_states.
layout(std430, binding = 1) PAYLOAD_ACCESS buffer Payload { WORD payload[]; };
layout(std430, binding = 2) readonly buffer Tables { uint tables[]; };
layout(std430, binding = 3) readonly buffer Streams { uint streams[]; };
layout(std430, binding = 4) buffer Status { uint status[]; };
layout(std430, binding = 5) writeonly buffer Raw { uint raw[]; };

// The coder's own entries.
#ifndef TABLE_WORDS
#define TABLE_WORDS (1u << MAX_TABLE_LOG)
#endif
shared uint table[TABLE_WORDS];
// The last bytes of each segment in work: the symbols of a partial tile, and the seed. Only the last segment of a block has
// more than TAIL_WORDS words of them, and may use the next's; the last of all is followed by as many. Before, the block's runs. Behind them, the first fault.
#define TAIL_WORDS 32u
#define ALL_TAILS (GROUPS * STREAMS * TAIL_WORDS + TAIL_WORDS)
#define SCRATCH_WORDS (ALL_TAILS > RUNS ? ALL_TAILS : RUNS)
shared uint scratch[SCRATCH_WORDS + 1u];
// segment << 8 | number of the check << 4 | fault.
#define FIRST_FAULT scratch[SCRATCH_WORDS]

uint table_log;

#include "runs.glsl"

// One segment in work.
struct Stream {
    STATE x[LANES];
    // The next word and the end of the words, in units.
    uint p, end;
    // Bytes of the segment and of its body; 0 if there is no such segment.
    uint size, body;
    // First word of its raw bytes.
    uint raw;
};

// What a coder defines. Fills table[]; called in uniform control flow, with a barrier after it.
void fill_table();
// What becomes of slot 4 four + i; compilers know i.
void put_slot(uint four, uint i, Run owner);
// 32 bits of the payload from a place as in streams[] on.
uint payload_bits(uint place);
// Bits of an initial state besides those that its length counts.
uint cell_bits();
// Makes a state of its bits, of which `length` are so called: those at `at` of the bit string that begins at `string`.
STATE read_state(uint string, uint at, uint length);
STATE no_state();
// Decodes the symbols of steps s and s + 1 on each lane. With `checked` false all lanes have both and any word may be read; else a
// lane has those before `limit`, without any its pair is 0, and words past the end are zero.
void decode_pair(const bool checked, uint s, uint limit, inout Stream stream, out uint pair[LANES]);
// The symbols of two pairs in their order.
uint four_symbols(uint first, uint second);
// The seed of a final state; whether the state can be one.
bool final_state(STATE x, out uint seed);

// Calls put_slot for each of 2^table_log slots. Called in uniform control flow.
void put_slots() {
    load_runs();
    barrier();
    for (uint four = gl_LocalInvocationIndex; four < (1u << table_log) + 3u >> 2; four += gl_WorkGroupSize.x) {
        Run owner = run_of(4u * four);
        [[unroll]] for (uint i = 0u; i < 4u; i++) {
            owner = run_of(4u * four + i, owner);
            if (4u * four + i < 1u << table_log) put_slot(four, i, owner);
        }
    }
}

// A tile of a stream, or the first `limit` symbols of it.
void decode_tile(const bool checked, uint limit, inout Stream stream, out uint quad[LANES]) {
    UNROLL_STEPS for (uint s = 0u; s < 4u; s += 2u) {
        uint pair[LANES];
        decode_pair(checked, s, limit, stream, pair);
        [[unroll]] for (uint j = 0u; j < LANES; j++) quad[j] = s == 0u ? pair[j] : four_symbols(quad[j], pair[j]);
    }
}

void check(bool good, uint segment, uint number, uint fault) {
    if (!good) atomicMin(FIRST_FAULT, segment << 8 | number << 4 | fault);
}

// Bytes of a segment's body.
uint body_size(DecodeBlock block, uint segment) {
    uint begin = min(segment << segment_log, block.raw_size);
    return max(min(block.raw_size - begin, 1u << segment_log), 32u * SEED) - 32u * SEED;
}

// Bits of a bit string that begins at a place as in streams[]; at most 32.
uint string_bits(uint string, uint at, uint count) {
    uint place = string + at / 32u * 2u;
    uint low = payload_bits(place);
    uint high = payload_bits(place + 2u);
    uint shift = at & 31u;
    uint value = low >> shift | high << 1u << 31u - shift;
    return count < 32u ? value & (1u << count) - 1u : value;
}

#include "states.glsl"

// Reads the states of a segment, which is between two places of streams[], and where the words behind them begin. `tail` is the group's.
void read_states(uint segment, uint begin, uint end, uint tail, inout Stream stream) {
#ifdef KHR_BALLOT
    // Adds 0. NVIDIA's compiler would see that all lanes load the same, and make do without uniform registers in the whole kernel:
    // with fse that takes 38 others instead of 30, and so a quarter of the workgroups.
    begin += scratch[tail + lane(0u)];
#endif
    uint planes[PLANES];
    [[unroll]] for (uint b = 0u; b < PLANES; b++) planes[b] = payload_bits(begin + 2u * b);
    uint string = begin + 2u * PLANES;
    UNROLL_LANES for (uint j = 0u; j < LANES; j++) {
        uint at = state_place(planes, lane(j), cell_bits());
        stream.x[j] = read_state(string, at, state_length(planes, lane(j)));
    }
    uint bits = state_place(planes, 32u, cell_bits());
    uint padding = (WORD_BITS - bits % WORD_BITS) % WORD_BITS;
    bool zeros = string_bits(string, bits, padding) == 0u;
    // In words of the stream.
    uint gap = string_bits(string, 0u, GAP_BITS);
    uint words = (string + (bits + padding) / 16u) / (WORD_BITS / 16u);
    UNROLL_LANES for (uint j = 0u; j < LANES; j++) {
        // Loaded in any case, for SwiftShader's sake.
        uint word = PAYLOAD_WORD(words + lane(j));
        zeros = zeros && (lane(j) >= gap || word == 0u);
    }
    words += gap;
    end /= WORD_BITS / 16u;
    check(zeros && gap <= MOST_GAP && words <= end, segment, 0u, FAULT_STREAM);
    stream.p = UNIT * min(words, end);
}

Stream open(DecodeBlock block, uint segment, uint tail) {
    Stream stream;
    uint begin = min(segment << segment_log, block.raw_size);
    stream.size = min(block.raw_size - begin, 1u << segment_log);
    stream.body = body_size(block, segment);
    stream.raw = block.raw + begin / 4u;
    stream.p = 0u;
    stream.end = 0u;
    [[unroll]] for (uint j = 0u; j < LANES; j++) stream.x[j] = no_state();
    if (stream.size > 0u) {
        uint begin = streams[block.streams + segment];
        uint end = streams[block.streams + segment + 1u];
        read_states(segment, begin, end, tail, stream);
        stream.end = UNIT * (end / (WORD_BITS / 16u));
    }
    return stream;
}

// Adds the seed to the tail and checks how the segment ends.
void close(uint segment, uint tail, Stream stream) {
    if (stream.size == 0u) return;
    uint seeds = stream.size - stream.body;
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        uint seed;
        bool good = final_state(stream.x[j], seed);
        uint at = stream.body % TILE + SEED * lane(j);
        atomicOr(scratch[tail + at / 4u], seed << 8u * (at % 4u));
        if (at % 4u + SEED > 4u) atomicOr(scratch[tail + at / 4u + 1u], seed >> 32u - 8u * (at % 4u));
        uint kept = min(max(seeds, SEED * lane(j)) - SEED * lane(j), SEED);
        check(stream.p == stream.end, segment, 1u, FAULT_STREAM);
        check(good && (kept == 4u || seed >> 8u * kept == 0u), segment, 2u, FAULT_FINAL_STATE);
    }
}

#ifdef FAST_PATH
// Whole tiles that are decoded in one turn of the loop.
#ifndef FAST_TILES
#define FAST_TILES 2
#endif
#if FAST_TILES > 6
#error more is touched ahead than lies behind the last payload
#endif
uint touched = 0u;

// Decodes a whole tile of each stream; `at` is where this invocation's first quad of each goes.
void decode_whole(inout Stream streams[STREAMS], inout uint at[STREAMS]) {
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
        uint quad[LANES];
        decode_tile(false, TILE, streams[k], quad);
        [[unroll]] for (uint j = 0u; j < LANES; j++) raw[at[k] + j * WIDTH] = quad[j];
        at[k] += TILE / 4u;
    }
}

// Decodes so many whole tiles. Whether streams end before is not looked at: a bad one is read past its end, but by no more than
// words for all of its tiles, 256 bytes each, and what is touched ahead is not further than 1 KiB. close() will find it.
void decode_fast(uint tiles, inout Stream streams[STREAMS]) {
    // Of each stream, the lines that will be needed next are loaded, so that they are in the cache by then. A value is used
    // only a turn after it was loaded, and for nothing.
    uint ahead[STREAMS];
    uint reach = TILE_WORDS + FAST_TILES * TILE_WORDS / 64u * lane(0u);
    uint at[STREAMS];
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
        ahead[k] = 0u;
        at[k] = streams[k].raw + lane(0u);
    }
    uint tile = 0u;
    for (; tile + FAST_TILES <= tiles; tile += FAST_TILES) {
        [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
            touched += ahead[k];
            ahead[k] = PAYLOAD_WORD((streams[k].p + UNIT * reach) / UNIT);
        }
        [[unroll]] for (uint t = 0u; t < FAST_TILES; t++) decode_whole(streams, at);
    }
    for (; tile < tiles; tile++) decode_whole(streams, at);
}
#endif

// Decodes the segments from `base` on that are in work at once.
void decode_segments(DecodeBlock block, uint base) {
    uint segment = base + group() * STREAMS;
    uint tail = group() * STREAMS * TAIL_WORDS;
    for (uint i = lane(0u); i < STREAMS * TAIL_WORDS; i += WIDTH) scratch[tail + i] = 0u;
    for (uint i = gl_LocalInvocationIndex; i < TAIL_WORDS; i += gl_WorkGroupSize.x) scratch[ALL_TAILS - TAIL_WORDS + i] = 0u;
    barrier();
    Stream streams[STREAMS];
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) streams[k] = open(block, segment + k, tail);

    // Only the last segment of a block is short: of those in step, none is longer than the first or shorter than the last.
    uint first = base + first_group_in_step() * STREAMS;
    uint longest = body_size(block, first);
    uint tile = 0u;
#ifdef FAST_PATH
    tile = body_size(block, first + GROUPS_IN_STEP * STREAMS - 1u) / TILE;
    decode_fast(tile, streams);
#endif
    for (; tile * TILE < longest; tile++) {
        [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
            uint limit = min(streams[k].body - min(streams[k].body, tile * TILE), TILE);
            uint quad[LANES];
            decode_tile(true, limit, streams[k], quad);
            [[unroll]] for (uint j = 0u; j < LANES; j++) {
                if (limit == TILE) raw[streams[k].raw + tile * (TILE / 4u) + lane(j)] = quad[j];
                else if (4u * lane(j) < limit) scratch[tail + k * TAIL_WORDS + lane(j)] = quad[j];
            }
        }
    }
    barrier();
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) close(segment + k, tail + k * TAIL_WORDS, streams[k]);
    barrier();
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
        uint done = streams[k].body / TILE * TILE;
        for (uint i = lane(0u); 4u * i < streams[k].size - done; i += WIDTH) {
            raw[streams[k].raw + done / 4u + i] = scratch[tail + k * TAIL_WORDS + i];
        }
    }
    barrier();
}

void main() {
    DecodeBlock block = blocks[gl_WorkGroupID.x];
    if (block.coder != CODER || status[gl_WorkGroupID.x] != 0u) return;
    table_log = min(block.table_log, MAX_TABLE_LOG);
    fill_table();
    barrier();
    if (gl_LocalInvocationIndex == 0u) FIRST_FAULT = NO_FAULT;

    uint segments = (block.raw_size + (1u << segment_log) - 1u) >> segment_log;
    for (uint base = 0u; base < segments; base += GROUPS * STREAMS) decode_segments(block, base);
#ifdef FAST_PATH
    // Never so, which compilers cannot know.
    if (block.raw_size == ~0u) raw[block.raw] = touched;
#endif
    uint fault = FIRST_FAULT;
    if (gl_LocalInvocationIndex == 0u) status[gl_WorkGroupID.x] = fault == NO_FAULT ? 0u : fault & 15u;
}
