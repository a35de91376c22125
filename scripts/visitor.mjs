// What a visitor does in the playground: for its tests and its pictures.

/**
 * Chooses words of the prompt and makes them a layer to paint.
 * @param {import('playwright-core').Page} page @param {...string} words
 */
export async function place(page, ...words) {
  for (const text of words) await page.locator('#words button', { hasText: new RegExp(`^${text}$`) }).click();
  await page.click('#add-layer');
}

/**
 * Paints horizontal strokes, in shares of the canvas.
 * @param {import('playwright-core').Page} page @param {number} x0 @param {number} x1 @param {...number} heights
 */
export async function strokes(page, x0, x1, ...heights) {
  const box = await page.locator('#canvas').boundingBox();
  if (!box) throw new Error('the canvas is not in view');
  for (const y of heights) {
    await page.mouse.move(box.x + x0 * box.width, box.y + y * box.height);
    await page.mouse.down();
    await page.mouse.move(box.x + x1 * box.width, box.y + y * box.height, { steps: 8 });
    await page.mouse.up();
  }
}
