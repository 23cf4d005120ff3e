import { asKilnError } from '../base/errors.ts';
import type { ClientOutput } from '../file-sync/client-output.ts';
import type { ExportContext } from './exporter.ts';

/** Writes the client's file. It is no error when the client says that it has the file already. */
export async function sendFile(
  chunks: AsyncIterable<Uint8Array>,
  metadata: Readonly<Record<string, string>>,
  output: ClientOutput,
  { sessionId, index, signal }: ExportContext,
): Promise<void> {
  try {
    await using file = await output.openFile({ sessionId, index }, metadata, signal);
    for await (const chunk of chunks) await file.write(chunk);
    await file.close();
  } catch (error) {
    if (asKilnError(error).code !== 'already_exists') throw error;
  }
}
