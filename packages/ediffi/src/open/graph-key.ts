/** What a graph is loaded by: which model it is of (several may be open as one), and its file there. */
export const key = (model: string, file: string): string => `${model}\u0000${file}`;
