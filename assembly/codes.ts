/**
 * What the elementwise kernel can compute. These numbers are shared by the kernel (assembly/elementwise)
 * and the operations; their order tells the kind of the result.
 */

// Functions of a; where one has a parameter, it is b.
export const NEG = 1;
export const ABS = 2;
export const SIGN = 3;
export const SQUARE = 4;
export const SQRT = 5;
export const RSQRT = 6;
export const RECIPROCAL = 7;
export const EXP = 8;
export const EXPM1 = 9;
export const LOG = 10;
export const LOG1P = 11;
export const SIN = 12;
export const COS = 13;
export const TANH = 14;
export const SIGMOID = 15;
export const ERF = 16;
export const RELU = 17;
/** x where x > 0, else b·x. */
export const LEAKY_RELU = 18;
/** x where x > 0, else b·(e^x - 1). */
export const ELU = 19;
/** log(1 + e^x). */
export const SOFTPLUS = 20;
export const SILU = 21;
export const GELU = 22;

// Functions of a and b.
export const ADD = 32;
export const SUB = 33;
export const MUL = 34;
export const DIV = 35;
export const MAXIMUM = 36;
export const MINIMUM = 37;
export const POW = 38;
/** 0 where a < b, ½ where they are equal, else 1: a's share of a maximum's derivative. */
export const SHARE = 39;
/** a where b > 0, else 0. */
export const GATE = 40;
/** a·(1 - b²): a cotangent of tanh, whose value is b. */
export const TANH_GRAD = 41;
/** a·b·(1 - b): a cotangent of the sigmoid, whose value is b. */
export const SIGMOID_GRAD = 42;
/** a where c holds, else b. */
export const SELECT = 43;

// The same on int32 lanes.
export const INT_NEG = 48;
export const INT_ABS = 49;
export const INT_SQUARE = 50;
export const INT_ADD = 51;
export const INT_SUB = 52;
export const INT_MUL = 53;
export const INT_MAXIMUM = 54;
export const INT_MINIMUM = 55;
export const INT_SELECT = 56;

// Comparisons: the result is a mask. From FIRST_MASK on.
export const FIRST_MASK = 64;
export const EQUAL = 64;
export const NOT_EQUAL = 65;
export const LESS = 66;
export const LESS_EQUAL = 67;
export const INT_EQUAL = 68;
export const INT_NOT_EQUAL = 69;
export const INT_LESS = 70;
export const INT_LESS_EQUAL = 71;

// What a scan along an axis computes.
export const LINEAR_SCAN = 0;
export const COMPLEX_SCAN = 1;
export const MAX_SCAN = 2;
