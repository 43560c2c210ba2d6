// softmax(scale * query keys^T) values, one query a row. What it must equal: `amt.ops.reference.attention`, over the
// keys that the ancestry of the row names.
//
// One block for (chunk of 64 positions, head, prompt), for eight beams at once: a key or value of the trunk is read
// once. Lanes side by side share a position, 8 numbers each; every such team goes through its positions with a softmax
// of its own (OnlineSoftmax), and the teams are merged in one order. The last block of a head to arrive merges the
// chunks, in their order: so the bits depend neither on the order of blocks nor on the prompts beside this one.
//
// Source: Dao et al. 2023, "Flash-Decoding"; Ye et al. 2024, "Cascade inference", for the trunk.
#include "device.cuh"
#include "kernels.h"

namespace amt::cuda {
namespace {

constexpr int kThreads = 128, kNumbers = 8;  // numbers of a lane
constexpr int kTile = 8;                     // beams of a block at most

template <int kHeadDim>
struct Teams {
  static constexpr int kLanes = kHeadDim / kNumbers, kCount = kThreads / kLanes;
};

// What has been seen of a row: the largest score, the sum of weights, and of weighted values this lane's part.
struct OnlineSoftmax {
  float largest = -INFINITY, sum = 0.0f, values[kNumbers] = {};

  __device__ __forceinline__ void add(float score, const float (&value)[kNumbers]) {  // score: in powers of 2
    const float new_largest = fmaxf(largest, score);
    const float shift = new_largest == -INFINITY ? 0.0f : new_largest;
    const float faded = power_of_two(largest - shift), weight = power_of_two(score - shift);
    sum = sum * faded + weight;
#pragma unroll
    for (int i = 0; i < kNumbers; ++i) values[i] = values[i] * faded + weight * value[i];
    largest = new_largest;
  }
};

template <int kBeams, int kHeadDim>
struct AttentionShared {
  float largest[Teams<kHeadDim>::kCount][kBeams], sum[Teams<kHeadDim>::kCount][kBeams];
  float values[Teams<kHeadDim>::kCount][kBeams][kHeadDim];
  int is_last;
};

template <typename Number, int kBeams, int kHeadDim>
__global__ void __launch_bounds__(kThreads, 1) decode_attention_kernel(DecodeAttention call) {
  using Team = Teams<kHeadDim>;
  using Shared = AttentionShared<kBeams, kHeadDim>;
  AMT_SHARED(Shared, shared);
  const int chunk = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y);
  const int num_tiles = (call.num_beams + kTile - 1) / kTile, num_chunks = static_cast<int>(gridDim.x);
  const int prompt = static_cast<int>(blockIdx.z) / num_tiles, tile = static_cast<int>(blockIdx.z) % num_tiles;
  const int thread = static_cast<int>(threadIdx.x), team = thread / Team::kLanes;
  const int dim = thread % Team::kLanes * kNumbers;
  const int num_beams = min(call.num_beams - tile * kTile, kTile);
  const int64_t first_row = static_cast<int64_t>(prompt) * call.num_beams + tile * kTile;
  const int last = call.lengths[prompt], trunk_len = call.trunk_lengths == nullptr ? last : call.trunk_lengths[prompt];
  const int first = call.window > 0 ? max(0, last - call.window) : 0;
  const int first_chunk = first / kChunk, end_chunk = (last + kChunk - 1) / kChunk;
  const int64_t head_index = static_cast<int64_t>(prompt) * call.num_heads + head;
  constexpr int kPartial = kHeadDim + 2;
  float* partials =
      call.partial +
      (head_index * num_chunks * call.num_beams + static_cast<int64_t>(tile) * num_chunks * kTile) * kPartial;

  if (chunk >= first_chunk && chunk < end_chunk) {
    const int64_t memory = call.memories == nullptr ? prompt : call.memories[prompt];
    const uint8_t* ancestry =
        call.ancestry == nullptr
            ? nullptr
            : call.ancestry +
                  (static_cast<int64_t>(prompt % call.num_ancestries) * call.num_beams + tile * kTile) * call.capacity;
    const uint8_t* mask = call.mask == nullptr ? nullptr : call.mask + memory * call.capacity;
    const float* bias =
        call.bias == nullptr ? nullptr : call.bias + static_cast<int64_t>(head + 1) * call.bias_len - last;
    const int64_t head_start = (memory * call.num_heads + head) * call.capacity * call.num_slots * kHeadDim;
    const auto* keys = static_cast<const Number*>(call.keys) + head_start + dim;
    const auto* values = static_cast<const Number*>(call.values) + head_start + dim;
    float query[kBeams][kNumbers];
    OnlineSoftmax seen[kBeams];
#pragma unroll
    for (int beam = 0; beam < kBeams; ++beam) {
      const int64_t row = first_row + min(beam, num_beams - 1);
      load_eight(call.query + row * call.query_stride + head * kHeadDim + dim, query[beam]);
#pragma unroll
      for (int i = 0; i < kNumbers; ++i) query[beam][i] *= call.scale * kLog2E;
    }
#pragma unroll 1  // more at once would spill registers with 8 beams
    for (int start = chunk * kChunk; start < (chunk + 1) * kChunk; start += Team::kCount) {
      const int position = start + team;
      const bool is_there = position >= first && position < last;  // lanes of other teams go the same way
      const bool is_seen = is_there && (mask == nullptr || mask[position] != 0);
      const float added = is_seen && bias != nullptr ? bias[position] * kLog2E : 0.0f;
      float key[kNumbers] = {}, value[kNumbers] = {};
#pragma unroll
      for (int beam = 0; beam < kBeams; ++beam) {
        if (is_seen && (beam == 0 || (position >= trunk_len && beam < num_beams))) {
          const int slot = ancestry == nullptr ? 0 : ancestry[beam * call.capacity + position];
          const int64_t place = (static_cast<int64_t>(position) * call.num_slots + slot) * kHeadDim;
          load_eight(keys + place, key);
          load_eight(values + place, value);
        }
        float score = 0.0f;
#pragma unroll
        for (int i = 0; i < kNumbers; ++i) score += query[beam][i] * key[i];
        score = sum_of_lanes<Team::kLanes>(score);
        seen[beam].add(is_seen ? score + added : -INFINITY, value);
      }
    }
#pragma unroll
    for (int beam = 0; beam < kBeams; ++beam) {
      if (dim == 0) shared.largest[team][beam] = seen[beam].largest, shared.sum[team][beam] = seen[beam].sum;
#pragma unroll
      for (int i = 0; i < kNumbers; ++i) shared.values[team][beam][dim + i] = seen[beam].values[i];
    }
    __syncthreads();
    for (int item = thread; item < num_beams * kHeadDim; item += kThreads) {
      const int beam = item / kHeadDim, place = item % kHeadDim;
      float largest = -INFINITY, sum = 0.0f, total = 0.0f;
#pragma unroll
      for (int each = 0; each < Team::kCount; ++each) largest = fmaxf(largest, shared.largest[each][beam]);
#pragma unroll
      for (int each = 0; each < Team::kCount; ++each) {
        const float weight = largest == -INFINITY ? 0.0f : power_of_two(shared.largest[each][beam] - largest);
        sum += weight * shared.sum[each][beam];
        total += weight * shared.values[each][beam][place];
      }
      float* partial = partials + (static_cast<int64_t>(chunk) * num_beams + beam) * kPartial;
      partial[2 + place] = total;
      if (place == 0) partial[0] = largest, partial[1] = sum;
    }
  }

  uint32_t* arrivals = call.arrivals + static_cast<int64_t>(blockIdx.z) * call.num_heads + head;
  if (!is_last_to_arrive(arrivals, gridDim.x, shared.is_last)) return;
  for (int item = thread; item < num_beams * kHeadDim; item += kThreads) {
    const int beam = item / kHeadDim, place = item % kHeadDim;
    float largest = -INFINITY, sum = 0.0f, total = 0.0f;
    for (int each = first_chunk; each < end_chunk; ++each) {
      const float* partial = partials + (static_cast<int64_t>(each) * num_beams + beam) * kPartial;
      const float new_largest = fmaxf(largest, partial[0]);
      if (new_largest == -INFINITY) continue;  // nothing may be seen so far
      const float faded = power_of_two(largest - new_largest), weight = power_of_two(partial[0] - new_largest);
      sum = sum * faded + weight * partial[1];
      total = total * faded + weight * partial[2 + place];
      largest = new_largest;
    }
    call.out[((first_row + beam) * call.num_heads + head) * kHeadDim + place] = sum == 0.0f ? 0.0f : total / sum;
  }
}

template <typename Number, int kBeams, int kHeadDim>
int launch(const DecodeAttention& call, void* stream) {
  const dim3 grid(static_cast<unsigned>((call.capacity + kChunk - 1) / kChunk), static_cast<unsigned>(call.num_heads),
                  static_cast<unsigned>(call.num_prompts * ((call.num_beams + kTile - 1) / kTile)));
  constexpr size_t kBytes = sizeof(AttentionShared<kBeams, kHeadDim>);
  return AMT_LAUNCH((decode_attention_kernel<Number, kBeams, kHeadDim>), grid, dim3(kThreads), kBytes, stream, call);
}

template <typename Number, int kHeadDim>
int launch(const DecodeAttention& call, void* stream) {
  if (call.num_beams == 1) return launch<Number, 1, kHeadDim>(call, stream);
  if (call.num_beams <= 4) return launch<Number, 4, kHeadDim>(call, stream);
  return launch<Number, kTile, kHeadDim>(call, stream);
}

template <typename Number>
int launch(const DecodeAttention& call, void* stream) {
  if (call.head_dim == 32) return launch<Number, 32>(call, stream);
  if (call.head_dim == 64) return launch<Number, 64>(call, stream);
  return call.head_dim == 128 ? launch<Number, 128>(call, stream) : kNoKernel;
}

}  // namespace

extern "C" int amt_cuda_decode_attention(const DecodeAttention* call, int is_bfloat, void* stream) {
  const DecodeAttention copy = *call;
  return is_bfloat ? launch<Bfloat>(copy, stream) : launch<float>(copy, stream);
}

}  // namespace amt::cuda
