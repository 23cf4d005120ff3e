/** Passes chunks on until `take` says that there is no use. What the source fails with ends it: its owner knows. */
export async function passChunks(
  chunks: AsyncIterable<Uint8Array>,
  take: (chunk: Uint8Array) => Promise<boolean>,
): Promise<void> {
  try {
    for await (const chunk of chunks) if (!(await take(chunk))) return;
  } catch {
    // The same as an end: whoever types has gone.
  }
}
