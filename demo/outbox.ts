import type { Socket } from 'node:net'
import type { Faults } from './faults.ts'

const MAX_WAITING_BYTES = 16 * 1024 * 1024

/** What is on its way to one client, over whatever transport: here the network is emulated. */
export class Outbox {
  readonly #connection: Socket
  readonly #faults: Faults
  #held: (() => void)[] = []
  #heldBytes = 0

  constructor(connection: Socket, faults: Faults) {
    this.#connection = connection
    this.#faults = faults
  }

  /** Sends over the RTSP connection. */
  send(packet: Buffer): void {
    this.post(packet.length, () => this.#connection.write(packet))
  }

  /** Sends over whatever `deliver` uses. */
  post(bytes: number, deliver: () => void): void {
    if (this.#faults.silent) return
    this.#held.push(deliver)
    this.#heldBytes += bytes
    this.flush()
    // A client that doesn't read loses its connection before it costs the camera its memory.
    const waitingBytes = this.#heldBytes + this.#connection.writableLength
    if (waitingBytes > MAX_WAITING_BYTES) this.#connection.destroy()
  }

  /** Delivers all that was held back, unless it still is. */
  flush(): void {
    if (this.#faults.holdBack) return
    const deliveries = this.#held
    this.#held = []
    this.#heldBytes = 0
    if (this.#connection.destroyed) return
    for (const deliver of deliveries) deliver()
  }
}
