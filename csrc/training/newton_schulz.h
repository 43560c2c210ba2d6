// Orthogonalises matrices by Newton-Schulz iterations, as the optimizer Muon does with its updates: singular values go
// to about 1, singular vectors stay.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace amt::training {

struct Matrix {
  float* numbers;  // (rows, columns), row by row
  int64_t rows, columns;
};

// X = matrix / max(its norm, epsilon); then num_steps times X = a X + (b A + c A A) X with A = X X^T, of the matrix or
// of its transpose, whichever has fewer rows.
struct NewtonSchulz {
  float a, b, c;
  int64_t num_steps;
  float epsilon;
};

// In place; each matrix is the work of one thread. `isa`: see training_kernels.h.
void orthogonalize(const std::vector<Matrix>& matrices, const NewtonSchulz& iteration, const std::string& isa,
                   int64_t num_threads);

}  // namespace amt::training
