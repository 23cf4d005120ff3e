import { KilnError } from '../../base/errors.ts';
import type { Task } from '../../base/threads/task.ts';
import { checkOpenPgpSignature, openPgpHeader } from './openpgp-signature.ts';
import type { SignatureQuestion } from './signature-question.ts';
import { checkSshSignature, sshHeader } from './ssh-signature.ts';

/** Throws `failed_precondition` when the signature is not one that the question takes. */
const checkSignatureTask: Task<SignatureQuestion, void> = async (question) => {
  const signature = question.signature.trimStart();
  if (signature.startsWith(openPgpHeader)) return await checkOpenPgpSignature({ ...question, signature });
  if (signature.startsWith(sshHeader)) return await checkSshSignature({ ...question, signature });
  throw new KilnError('failed_precondition', 'invalid signature format', {
    hint: `it has to begin with ${openPgpHeader} or ${sshHeader}`,
  });
};

export default checkSignatureTask;
