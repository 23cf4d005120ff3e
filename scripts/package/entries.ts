/** The entries of the package: the bundle of each, and the source that it is made of. `exports` in `package.json` names the bundles. */
export const entries: Readonly<Record<string, string>> = {
  kiln: 'src/library/library.ts',
  llb: 'src/llb/llb.ts',
  frontend: 'src/frontend-kit/frontend-kit.ts',
};
