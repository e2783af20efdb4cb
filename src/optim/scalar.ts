/** Functions of plain numbers that schedules and optimisers need. */

export const exp: (x: number) => number = Math.exp;
export const cos: (x: number) => number = Math.cos;
