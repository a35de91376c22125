// Where the object is in a picture with a plain background, without any model: the background is the vertical gradient between the median
// colours of the picture's top and bottom edges; what differs from it is the object.
const median = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** Distance of each pixel from the background (0 where below `threshold`, RGB 0–255), and the background's colour in the middle of the picture. */
export function foreground({ data, width, height }, threshold = 48) {
  const edge = (y) => [0, 1, 2].map((c) => median(Array.from({ length: width }, (_, x) => data[3 * (y * width + x) + c])));
  const [top, bottom] = [edge(0), edge(height - 1)];
  const distance = Float32Array.from({ length: width * height }, (_, i) => {
    const y = Math.floor(i / width);
    const away = Math.hypot(...[0, 1, 2].map((c) => data[3 * i + c] - (top[c] + ((bottom[c] - top[c]) * y) / (height - 1))));
    return away < threshold ? 0 : away;
  });
  return { distance, background: top.map((v, c) => (v + bottom[c]) / 2) };
}

/** Horizontal centre of what is not background, 0 (left) to 1 (right); undefined when nothing stands out. */
export function objectCentre(picture) {
  const { distance } = foreground(picture);
  const { width } = picture;
  const mass = distance.reduce((a, b) => a + b, 0);
  const count = distance.reduce((n, v) => n + (v > 0), 0);
  return count >= 12 ? distance.reduce((sum, v, i) => sum + v * ((i % width + 0.5) / width), 0) / mass : undefined;
}
