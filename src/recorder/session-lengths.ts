/** Sessions in a row of equal length that are no chance. */
const sessionsAlike = 3
const leastMs = 5000
/** Largest difference between equal lengths, unless a twentieth is more. */
const atMostApartMs = 2000

/** The lengths of a camera's last sessions, of those that the camera has ended. */
export class SessionLengths {
  #lastMs: number[] = []

  /** Adds one; answers how long the last ones lasted, each of them, if they lasted alike. */
  add(lengthMs: number): number | undefined {
    this.#lastMs = [...this.#lastMs, lengthMs].slice(-sessionsAlike)
    const longestMs = Math.max(...this.#lastMs)
    const apartMs = longestMs - Math.min(...this.#lastMs)
    const isAlike = longestMs >= leastMs && apartMs <= Math.max(atMostApartMs, longestMs / 20)
    return this.#lastMs.length === sessionsAlike && isAlike ? longestMs : undefined
  }
}
