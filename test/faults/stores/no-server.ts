/** Thrown where there is no server to be had; a test skips. */
export class NoServer extends Error {}
