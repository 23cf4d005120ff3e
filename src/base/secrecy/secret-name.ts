const secret = /(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)/i;
const harmless = /(?:_|^)(?:public|file|version)(?:_|$)/i;

/** Whether a variable of this name is likely to hold something that nobody else may know. */
export function isSecretName(name: string): boolean {
  return secret.test(name) && !harmless.test(name);
}
