/** Least squares that learns row by row, forgets slowly and leans on a prior: for a forecast with little history. */

export interface RidgeOptions {
  /** Weights before anything is learnt; what the answer leans on. */
  readonly prior: readonly number[];
  /** How strongly each weight leans on its prior; in units of the sum of that input's squares. */
  readonly strength: readonly number[];
  /** Factor on all that was learnt, for each row: 1 forgets nothing. */
  readonly keep: number;
}

export class Ridge {
  private readonly options: RidgeOptions;
  private readonly size: number;
  /** Lower triangle of the inputs' products, row by row. */
  private readonly products: Float64Array;
  private readonly answers: Float64Array;
  private weights: Float64Array;

  constructor(options: RidgeOptions) {
    this.options = options;
    this.size = options.prior.length;
    this.products = new Float64Array(this.size * this.size);
    this.answers = new Float64Array(this.size);
    this.weights = Float64Array.from(options.prior);
  }

  /** Takes one row in; the weights change only at the next `solve`. */
  learn(input: Float64Array, answer: number): void {
    const { size, products, answers } = this;
    const { keep } = this.options;
    for (let row = 0; row < size; row += 1) {
      const value = input[row] ?? 0;
      const from = row * size;
      for (let column = 0; column <= row; column += 1)
        products[from + column] = (products[from + column] ?? 0) * keep + value * (input[column] ?? 0);
      answers[row] = (answers[row] ?? 0) * keep + value * answer;
    }
  }

  predict(input: Float64Array): number {
    let sum = 0;
    for (let column = 0; column < this.size; column += 1) sum += (input[column] ?? 0) * (this.weights[column] ?? 0);
    return sum;
  }

  /** New weights from all rows so far, by Cholesky's factors: the strengths keep the matrix positive definite. */
  solve(): void {
    const { size, products } = this;
    const { prior, strength } = this.options;
    const factor = Float64Array.from(products);
    const found = Float64Array.from(this.answers);
    for (let row = 0; row < size; row += 1) {
      const lean = strength[row] ?? 0;
      factor[row * size + row] = (factor[row * size + row] ?? 0) + lean;
      found[row] = (found[row] ?? 0) + lean * (prior[row] ?? 0);
    }
    for (let row = 0; row < size; row += 1)
      for (let column = 0; column <= row; column += 1) {
        let sum = factor[row * size + column] ?? 0;
        for (let k = 0; k < column; k += 1) sum -= (factor[row * size + k] ?? 0) * (factor[column * size + k] ?? 0);
        factor[row * size + column] = row === column ? Math.sqrt(sum) : sum / (factor[column * size + column] ?? 1);
      }
    for (let row = 0; row < size; row += 1) {
      let sum = found[row] ?? 0;
      for (let k = 0; k < row; k += 1) sum -= (factor[row * size + k] ?? 0) * (found[k] ?? 0);
      found[row] = sum / (factor[row * size + row] ?? 1);
    }
    for (let row = size - 1; row >= 0; row -= 1) {
      let sum = found[row] ?? 0;
      for (let k = row + 1; k < size; k += 1) sum -= (factor[k * size + row] ?? 0) * (found[k] ?? 0);
      found[row] = sum / (factor[row * size + row] ?? 1);
    }
    this.weights = found;
  }
}
