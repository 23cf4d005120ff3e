import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import type { SignatureQuestion } from './signature-question.ts';

/** Throws `failed_precondition` when the signature is not one that the question takes. Keys and signatures are read in a thread: what is hostile may take long. */
export async function checkSignature(
  pool: ThreadPool,
  question: SignatureQuestion,
  signal: AbortSignal,
): Promise<void> {
  await pool.run(new URL('./check-signature.task.ts', import.meta.url), question, { signal });
}
