/** Passes steps on under another form; forwards `return` so that a `break` reaches the solver. */
export async function* mapped<A, B, R>(source: AsyncGenerator<A, R, void>, form: (value: A) => Promise<B>): AsyncGenerator<B, R, void> {
  try {
    for (;;) {
      const { done, value } = await source.next();
      if (done) return value;
      yield await form(value);
    }
  } finally {
    await source.return(undefined as R);
  }
}
