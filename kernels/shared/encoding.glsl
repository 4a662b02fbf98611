// The encode kernels: the segments of a block, and its payload. One workgroup a block. Symbols are taken backward and words
// are written backward, from the end of each segment, so that a stream reads forward. Groups take a segment each. They write where
// the payload wants it at once: how long a segment will be is known before, from its symbols' counts (payload.glsl).
//
// A coder defines its number, CODER; bits of its words, WORD_BITS; bytes of the seed in a lane, SEED; how many symbols of a
// lane it takes at once, SYMBOLS; the type of a lane's state, STATE, and of what it makes of symbols, BITS; LEAST and PLANES (states.glsl); MARGIN
// (payload.glsl); and the functions declared below.

#include "lanes.glsl"
#include "encode.glsl"
#include "states.glsl"

layout(push_constant) uniform EncodePush {
    uint segment_log;
};
layout(std430, binding = 0) readonly buffer Blocks { EncodeBlock blocks[]; };
layout(std430, binding = 1) readonly buffer Raw { uint raw[]; };
layout(std430, binding = 2) readonly buffer Infos { EncodeInfo infos[]; };
layout(std430, binding = 3) readonly buffer Tables { uint tables[]; };
layout(std430, binding = 4) readonly buffer Entries { uint entries[]; };
// COUNT_WORDS words for two segments.
layout(std430, binding = 5) readonly buffer Counts { uint counts[]; };
layout(std430, binding = 6) writeonly buffer Results { EncodeResult results[]; };
#if WORD_BITS == 16 && defined(STORAGE16)
#extension GL_EXT_shader_16bit_storage : require
layout(std430, binding = 7) coherent buffer Payload { uint16_t payload[]; };
#else
layout(std430, binding = 7) coherent buffer Payload { uint payload[]; };
#endif

// Whole tiles that are loaded at once. Eight (fse: six, which leave registers for a workgroup more) as measured with NVIDIA's driver, as dot products were; four take no more registers with AMD's
// compiler; for narrower groups, whose invocations have more lanes, two (NOTES.md).
#ifndef MOST_TURN_TILES
#define MOST_TURN_TILES 8u
#endif
#ifndef TURN_TILES
#if defined(DOT) && WIDTH == 32
#define TURN_TILES MOST_TURN_TILES
#elif WIDTH == 32
#define TURN_TILES 4u
#else
#define TURN_TILES 2u
#endif
#endif

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
    // Places in payload[], in units: its end, and the last word written.
    uint end, p;
    // First u32 of its raw bytes.
    uint raw;
    // Bytes of the segment and of its body; 0 if there is no such segment.
    uint size, body;
};

// What a coder defines. Makes ready for a block, from its 512 words of entries[]; called in uniform control flow, with a
// barrier after it.
void fill_table(uint first);
// The state that holds a seed, and is to take `count` of two symbols first, those of a quad from `first` on.
STATE seeded_state(uint seed, uint quad, uint first, uint count);
// What `count` of SYMBOLS symbols become, those of a quad from `first` on.
BITS look_up(inout STATE x, uint quad, uint first, uint count);
// Whether a word must be written first, and that word. Without symbols none must.
bool is_full(STATE x, BITS bits);
uint full_word(STATE x);
// Adds the symbols, after the word was written if one was.
void push(bool written, inout STATE x, BITS bits);
// Writes the last words. What is left are the initial states: their lengths, and so many bits of each. Called in uniform control flow.
void finish(inout Stream stream, out uint length[LANES], out uvec2 bits[LANES]);
// The cell of a state, and how many bits it has.
uint cell(STATE x);
uint cell_bits();
// What a symbol costs: bits << COST_LOG.
uint cost(uint symbol);

uint symbol(uint quad, uint i) { return byte_of(quad, i); }

#if WORD_BITS == 32
void put_word(uint at, uint word) { payload[at] = word; }
#elif defined(STORAGE16)
void put_word(uint at, uint word) { payload[at] = uint16_t(word); }
#else
// The payload has been cleared.
void put_word(uint at, uint word) { atomicOr(payload[at / 2u], (word & 0xffffu) << 16u * (at % 2u)); }
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
        if (full[j]) put_word(at[j] / UNIT, full_word(x[j]));
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

uint segment_count(EncodeBlock block) { return (block.raw_size + (1u << segment_log) - 1u) >> segment_log; }

uint raw_byte(uint word, uint i) { return raw[word + i / 4u] >> 8u * (i % 4u) & 0xffu; }

// A lane's part of the seed of a segment of so many bytes that begins at a word.
uint own_seed(uint word, uint size, uint lane) {
    uint at = max(size, 32u * SEED) - 32u * SEED + SEED * lane;
    uint seed = 0u;
    if (size % 4u == 0u && size >= 32u * SEED) {
        seed = raw[word + at / 4u];
        if (SEED < 4u) seed = seed >> 8u * (at % 4u) & (1u << 8u * (SEED & 3u)) - 1u;
    } else {
        [[dont_unroll]] for (uint b = 0u; b < SEED && at + b < size; b++) seed |= raw_byte(word, at + b) << 8u * b;
    }
    return seed;
}

// The last symbols of a body that a lane has in a pair: `count` of a quad from `first` on. `word` is the segment's first.
void last_pair(uint word, uint body, uint lane, out uint quad, out uint first, out uint count) {
    uint tile = body / TILE;
    uint own = min(max(body % TILE, 4u * lane) - 4u * lane, 4u);
    if (own == 0u && tile > 0u) {
        tile--;
        own = 4u;
    }
    quad = own > 0u ? raw[word + tile * (TILE / 4u) + lane] : 0u;
    first = own > 2u ? 2u : 0u;
    count = own - first;
}

// Opens a segment that ends at a word of payload[].
Stream open(EncodeBlock block, uint segment, uint end) {
    Stream stream;
    stream.size = segment_size(block, segment, segment_log);
    stream.body = max(stream.size, 32u * SEED) - 32u * SEED;
    stream.end = UNIT * end;
    stream.p = stream.end;
    stream.raw = block.raw + (segment << segment_log) / 4u;
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        uint quad, first, count;
        last_pair(stream.raw, stream.body, lane(j), quad, first, count);
        stream.x[j] = seeded_state(own_seed(stream.raw, stream.size, lane(j)), quad, first, count);
    }
    return stream;
}

// Encodes an open segment, but for its initial states. All groups go round as often, since the form without subgroups has barriers: as `longest`, the largest of the
// segments in work, demands.
void encode_body(uint longest, inout Stream stream) {
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
    // Symbols are loaded a turn of TURN_TILES ahead: memory answers after hundreds of cycles. What does not make a turn comes first, a tile ahead.
    uint turns = tile - tile % TURN_TILES;
    uint ahead[TURN_TILES][LANES];
    if (turns > 0u) {
        [[unroll]] for (uint t = 0u; t < TURN_TILES; t++) load_tile(false, turns - 1u - t, stream, ahead[t]);
    }
    if (TURN_TILES > 1u) {
        uint next[LANES];
        if (tile > turns) load_tile(false, tile - 1u, stream, next);
        for (; tile > turns; tile--) {
            quad = next;
            load_tile(false, max(tile, 2u) - 2u, stream, next);
            encode_tile(false, tile - 1u, quad, stream);
        }
    }
    for (; tile > 0u; tile -= TURN_TILES) {
        uint quads[TURN_TILES][LANES] = ahead;
        uint next = max(tile, 2u * TURN_TILES) - TURN_TILES;
        [[unroll]] for (uint t = 0u; t < TURN_TILES; t++) load_tile(false, next - 1u - t, stream, ahead[t]);
        [[unroll]] for (uint t = 0u; t < TURN_TILES; t++) encode_tile(false, tile - 1u - t, quads[t], stream);
    }
#endif
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
        barrier();
        uint size = compose_payload(block, info.table_size);
        result = size < block.raw_size ? EncodeResult(KIND_CODED, table_log, size, block.payload)
                                       : EncodeResult(KIND_STORED, 0u, block.raw_size, 0u);
    }
    if (gl_LocalInvocationIndex == 0u) results[number] = result;
}
