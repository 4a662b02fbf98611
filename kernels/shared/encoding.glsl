// The encode kernels: the segments of a block, and its payload. One workgroup a block. Symbols are taken backward and words
// are written backward, from the end of each segment's space, so that the stream reads forward. Groups work on as many
// segments as they hold, and copy their streams to the payload when they know each other's lengths (payload.glsl).
//
// A coder defines its number, CODER; bits of its words, WORD_BITS; bytes of the seed in a lane, SEED; how many symbols of a
// lane it takes at once, SYMBOLS; the type of a lane's state, STATE, and of what it makes of symbols, BITS; words of the
// initial states, INITIAL_WORDS; and the functions declared below.

#include "lanes.glsl"
#include "encode.glsl"

layout(push_constant) uniform EncodePush {
    uint segment_log;
};
layout(std430, binding = 0) readonly buffer Blocks { EncodeBlock blocks[]; };
layout(std430, binding = 1) readonly buffer Raw { uint raw[]; };
layout(std430, binding = 2) readonly buffer Infos { EncodeInfo infos[]; };
layout(std430, binding = 3) readonly buffer Tables { uint tables[]; };
layout(std430, binding = 4) readonly buffer Entries { uint entries[]; };
// The streams, each at the end of its space.
#if WORD_BITS == 16 && defined(STORAGE16)
#extension GL_EXT_shader_16bit_storage : require
layout(std430, binding = 5) coherent buffer Scratch { uint16_t scratch[]; };
#else
layout(std430, binding = 5) coherent buffer Scratch { uint scratch[]; };
#endif
layout(std430, binding = 6) writeonly buffer Results { EncodeResult results[]; };
layout(std430, binding = 7) writeonly buffer Payload { uint payload[]; };

#define WORDS_PER_U32 (32u / WORD_BITS)

uint table_log;

// One segment in work.
struct Stream {
    STATE x[LANES];
    // Places in scratch[], in words: the end of its space, and the last word written.
    uint end, p;
    // First u32 of its raw bytes.
    uint raw;
    // Bytes of the segment and of its body; 0 if there is no such segment.
    uint size, body;
};

// What a coder defines. Makes ready for a block, from its 512 words of entries[]; called in uniform control flow, with a
// barrier after it.
void fill_table(uint first);
// The state that holds a seed.
STATE seeded_state(uint seed);
// What the first `count` of SYMBOLS symbols, the bytes of `symbols`, become.
BITS look_up(inout STATE x, uint symbols, uint count);
// Whether a word must be written first, and that word. Without symbols none must.
bool is_full(STATE x, BITS bits);
uint full_word(STATE x);
// Adds the symbols, after the word was written if one was.
void push(bool written, inout STATE x, BITS bits);
// Writes what precedes the words that the decoder takes, initial states last. Called in uniform control flow.
void finish(inout Stream stream);

#if WORD_BITS == 32
void put_word(uint at, uint word) { scratch[at] = word; }
#elif defined(STORAGE16)
void put_word(uint at, uint word) { scratch[at] = uint16_t(word); }
uint get_word(uint at) { return uint(scratch[at]); }
#else
// The space has been cleared.
void put_word(uint at, uint word) { atomicOr(scratch[at / 2u], (word & 0xffffu) << 16u * (at % 2u)); }
uint get_word(uint at) { return scratch[at / 2u] >> 16u * (at % 2u) & 0xffffu; }
#endif

// Encodes one part of a tile, of 4 / SYMBOLS parts. With `checked` false all lanes have all symbols; else those before
// `limit`.
void encode_part(const bool checked, uint part, uint limit, uint quad[LANES], inout Stream stream) {
    STATE x[LANES];
    BITS bits[LANES];
    bool full[LANES];
    uint at[LANES];
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        uint before = 4u * lane(j) + part * SYMBOLS;
        uint count = checked ? min(max(limit, before) - before, SYMBOLS) : SYMBOLS;
        x[j] = stream.x[j];
        bits[j] = look_up(x[j], quad[j] >> 8u * SYMBOLS * part, count);
        full[j] = is_full(x[j], bits[j]) && (!checked || count > 0u);
    }
    claim_back(stream.p, full, at);
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        if (full[j]) put_word(at[j], full_word(x[j]));
        push(full[j], x[j], bits[j]);
        if (!checked || 4u * lane(j) + part * SYMBOLS < limit) stream.x[j] = x[j];
    }
}

// Four symbols for each lane.
void load_tile(const bool checked, uint tile, Stream streams[STREAMS], out uint quads[STREAMS][LANES]) {
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
        [[unroll]] for (uint j = 0u; j < LANES; j++) {
            bool real = !checked || tile * TILE + 4u * lane(j) < streams[k].body;
            quads[k][j] = real ? raw[streams[k].raw + tile * (TILE / 4u) + lane(j)] : 0u;
        }
    }
}

// Encodes a tile of each stream, of which all are whole if `checked` is false.
void encode_tile(const bool checked, uint tile, uint quads[STREAMS][LANES], inout Stream streams[STREAMS]) {
    UNROLL_STEPS for (uint part = 4u / SYMBOLS; part-- > 0u;) {
        [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
            uint limit = max(streams[k].body, tile * TILE) - tile * TILE;
            encode_part(checked, part, limit, quads[k], streams[k]);
        }
    }
}

uint raw_byte(uint word, uint i) { return raw[word + i / 4u] >> 8u * (i % 4u) & 0xffu; }

Stream open(EncodeBlock block, uint segment) {
    Stream stream;
    stream.size = segment_size(block, segment, segment_log);
    stream.body = max(stream.size, 32u * SEED) - 32u * SEED;
    uint space = segment_scratch(block, segment, segment_log);
    stream.end = (space + stream_space(stream.size)) * WORDS_PER_U32;
    stream.p = stream.end;
    stream.raw = block.raw + (segment << segment_log) / 4u;
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        uint seed = 0u;
        [[unroll]] for (uint b = 0u; b < SEED; b++) {
            uint at = stream.body + SEED * lane(j) + b;
            if (at < stream.size) seed |= raw_byte(stream.raw, at) << 8u * b;
        }
        stream.x[j] = seeded_state(seed);
    }
#if WORD_BITS == 16 && !defined(STORAGE16)
    for (uint i = space + lane(0u); i < stream.end / WORDS_PER_U32; i += WIDTH) scratch[i] = 0u;
#endif
    return stream;
}

// Encodes the segments from `base` on, as many as there are groups for.
void encode_segments(EncodeBlock block, uint base, out Stream streams[STREAMS]) {
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) streams[k] = open(block, base + group() * STREAMS + k);
    memoryBarrierBuffer();
    group_barrier();
    // Only the last segment of a block is short: none is longer than the first of those in work. The form without subgroups has
    // a barrier in each step, so all groups go round as often.
    uint tile = (max(segment_size(block, base, segment_log), 32u * SEED) - 32u * SEED + TILE - 1u) / TILE;
    uint quads[STREAMS][LANES];
#ifdef FAST_PATH
    // Tiles that are whole in all streams of the group.
    uint whole = streams[0].body / TILE;
    [[unroll]] for (uint k = 1u; k < STREAMS; k++) whole = min(whole, streams[k].body / TILE);
    for (; tile > 0u && !all_groups(tile <= whole); tile--) {
#else
    for (; tile > 0u; tile--) {
#endif
        load_tile(true, tile - 1u, streams, quads);
        encode_tile(true, tile - 1u, quads, streams);
    }
#ifdef FAST_PATH
    // Symbols are loaded a tile ahead: memory answers after hundreds of cycles.
    uint ahead[STREAMS][LANES];
    load_tile(true, max(tile, 1u) - 1u, streams, ahead);
    for (; tile > 0u; tile--) {
        quads = ahead;
        load_tile(false, max(tile, 2u) - 2u, streams, ahead);
        encode_tile(false, tile - 1u, quads, streams);
    }
#endif
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) finish(streams[k]);
}

#include "payload.glsl"

void main() {
    EncodeBlock block = blocks[gl_WorkGroupID.x];
    EncodeInfo info = infos[gl_WorkGroupID.x];
    if (block.coder != CODER) return;
    if (info.kind != KIND_CODED) {
        if (gl_LocalInvocationIndex == 0u) results[gl_WorkGroupID.x] = EncodeResult(info.kind, 0u, 1u, 0u);
        return;
    }
    table_log = info.table_log;
    fill_table(512u * gl_WorkGroupID.x);
    barrier();

    uint segments = (block.raw_size + (1u << segment_log) - 1u) >> segment_log;
    uint head = head_words(segments, info.table_size);
    uint words = head;
    for (uint base = 0u; base < segments; base += GROUPS * STREAMS) {
        append_segments(block, base, segments, info.table_size, words);
    }
    EncodeResult result = EncodeResult(KIND_STORED, 0u, block.raw_size, 0u);
    uint size = words * (WORD_BITS / 8u);
    if (size < block.raw_size) {
        complete(block, head, segments, info.table_size, words);
        result = EncodeResult(KIND_CODED, info.table_log, size, block.raw);
    }
    if (gl_LocalInvocationIndex == 0u) results[gl_WorkGroupID.x] = result;
}
