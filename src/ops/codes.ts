/**
 * What the elementwise kernel can compute. These numbers are shared by the kernel (assembly/elementwise)
 * and the operations; their order says what the operands and the result are.
 */

// One operand a; some take a number b.
export const COPY = 0;
export const NEG = 1;
export const ABS = 2;
export const SQUARE = 3;
export const EXP = 4;
export const TANH = 5;
export const SIGMOID = 6;
export const RELU = 7;

// Two operands.
export const ADD = 32;
export const SUB = 33;
export const MUL = 34;
export const DIV = 35;
