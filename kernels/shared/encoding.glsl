// The encode kernels: the segments of a block, and its payload. One workgroup a block. Symbols are taken backward and words
// are written backward, from the end of each segment's space, so that a stream reads forward. Groups take a segment each, and
// copy the streams to the payload when they know each other's lengths (payload.glsl).
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
#if WORD_BITS == 16 && defined(STORAGE16)
#extension GL_EXT_shader_16bit_storage : require
layout(std430, binding = 5) coherent buffer Streams { uint16_t streams[]; };
#else
layout(std430, binding = 5) coherent buffer Streams { uint streams[]; };
#endif
layout(std430, binding = 6) writeonly buffer Results { EncodeResult results[]; };
layout(std430, binding = 7) writeonly buffer Payload { uint payload[]; };

#define WORDS_PER_U32 (32u / WORD_BITS)

// With two lanes an invocation lavapipe would take a minute to compile it otherwise.
#if WIDTH == 32
#define UNROLL_PARTS UNROLL_STEPS
#else
#define UNROLL_PARTS [[dont_unroll]]
#endif

// Of the block in work.
uint table_log;

// One segment in work.
struct Stream {
    STATE x[LANES];
    // Places in streams[], in words: its end, and the last word written.
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
// What `count` of SYMBOLS symbols become, those of a quad from `first` on.
BITS look_up(inout STATE x, uint quad, uint first, uint count);
// Whether a word must be written first, and that word. Without symbols none must.
bool is_full(STATE x, BITS bits);
uint full_word(STATE x);
// Adds the symbols, after the word was written if one was.
void push(bool written, inout STATE x, BITS bits);
// Writes what precedes the words that the decoder takes, initial states last. Called in uniform control flow.
void finish(inout Stream stream);

uint symbol(uint quad, uint i) { return byte_of(quad, i); }

#if WORD_BITS == 32
void put_word(uint at, uint word) { streams[at] = word; }
#elif defined(STORAGE16)
void put_word(uint at, uint word) { streams[at] = uint16_t(word); }
uint get_word(uint at) { return uint(streams[at]); }
#else
// The space has been cleared.
void put_word(uint at, uint word) { atomicOr(streams[at / 2u], (word & 0xffffu) << 16u * (at % 2u)); }
uint get_word(uint at) { return streams[at / 2u] >> 16u * (at % 2u) & 0xffffu; }
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
        bits[j] = look_up(x[j], quad[j], part * SYMBOLS, count);
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
void load_tile(const bool checked, uint tile, Stream stream, out uint quad[LANES]) {
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        bool real = !checked || tile * TILE + 4u * lane(j) < stream.body;
        quad[j] = real ? raw[stream.raw + tile * (TILE / 4u) + lane(j)] : 0u;
    }
}

// Encodes a tile, which is whole if `checked` is false.
void encode_tile(const bool checked, uint tile, uint quad[LANES], inout Stream stream) {
    uint limit = max(stream.body, tile * TILE) - tile * TILE;
    UNROLL_PARTS for (uint part = 4u / SYMBOLS; part-- > 0u;) encode_part(checked, part, limit, quad, stream);
}

// Where a segment's space ends in streams[].
uint stream_end(EncodeBlock block, uint segment) {
    uint space = stream_space(segment_size(block, segment, segment_log));
    return (segment_scratch(block, segment, segment_log) + space) * WORDS_PER_U32;
}

uint segment_count(EncodeBlock block) { return (block.raw_size + (1u << segment_log) - 1u) >> segment_log; }

// Makes put_word possible.
void clear_streams(EncodeBlock block) {
#if WORD_BITS == 16 && !defined(STORAGE16)
    uint end = stream_end(block, segment_count(block) - 1u) / 2u;
    for (uint i = block.scratch + gl_LocalInvocationIndex; i < end; i += gl_WorkGroupSize.x) streams[i] = 0u;
    memoryBarrierBuffer();
#endif
}

uint raw_byte(uint word, uint i) { return raw[word + i / 4u] >> 8u * (i % 4u) & 0xffu; }

Stream open(EncodeBlock block, uint segment) {
    Stream stream;
    stream.size = segment_size(block, segment, segment_log);
    stream.body = max(stream.size, 32u * SEED) - 32u * SEED;
    stream.end = stream_end(block, segment);
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
    return stream;
}

#include "copy.glsl"

// Encodes a segment. All groups go round as often, since the form without subgroups has barriers: as `longest`, the largest of the
// segments in work, demands.
Stream encode_segment(EncodeBlock block, uint segment, uint longest) {
    Stream stream = open(block, segment);
    uint tile = same((max(longest, 32u * SEED) - 32u * SEED + TILE - 1u) / TILE);
    uint quad[LANES];
#ifdef FAST_PATH
    uint whole = same(stream.body / TILE);
    for (; tile > 0u && !all_groups(tile <= whole); tile--) {
#else
    for (; tile > 0u; tile--) {
#endif
        load_tile(true, tile - 1u, stream, quad);
        encode_tile(true, tile - 1u, quad, stream);
    }
#ifdef FAST_PATH
    // Symbols are loaded a tile ahead: memory answers after hundreds of cycles.
    uint ahead[LANES];
    load_tile(true, max(tile, 1u) - 1u, stream, ahead);
    for (; tile > 0u; tile--) {
        quad = ahead;
        load_tile(false, max(tile, 2u) - 2u, stream, ahead);
        encode_tile(false, tile - 1u, quad, stream);
    }
#endif
    finish(stream);
    return stream;
}

#include "payload.glsl"

void main() {
    uint number = gl_WorkGroupID.x;
    EncodeBlock block = blocks[number];
    EncodeInfo info = infos[number];
    if (block.coder != CODER) return;
    EncodeResult result = EncodeResult(info.kind, 0u, 1u, 0u);
    if (info.kind == KIND_CODED) {
        table_log = info.table_log;
        fill_table(512u * number);
        clear_streams(block);
        barrier();
        uint size = compose_payload(block, info.table_size);
        result = size < block.raw_size ? EncodeResult(KIND_CODED, table_log, size, block.raw)
                                       : EncodeResult(KIND_STORED, 0u, block.raw_size, 0u);
    }
    if (gl_LocalInvocationIndex == 0u) results[number] = result;
}
