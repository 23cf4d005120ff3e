/** The error for an archive that is malformed, which says where it is. `why`: what is wrong there. */
export type Fail = (why: string) => Error;
