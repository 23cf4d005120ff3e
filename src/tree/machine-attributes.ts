import { isForeignMark } from './overlay-marks.ts';

const labels = /^security\.(selinux|sehash|apparmor|SMACK64.*|ima|evm)$/;

/** Whether an extended attribute is a label that the kernel's security modules gave a file, by rules of the machine it lies on. */
export function isSecurityLabel(name: string): boolean {
  return labels.test(name);
}

/** Whether an extended attribute is about the machine that a file lies on rather than the file: nothing from elsewhere may bring it. */
export function isMachineAttribute(name: string): boolean {
  return isForeignMark(name) || isSecurityLabel(name);
}
