import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { findStamps } from '../support/frame-counter.ts'

export interface RtspAnswer {
  status: number
  text: string
}

export interface RtpPacket {
  atMs: number
  sequence: number
  timestamp: number
  payload: Buffer
}

/** Where each track's packets arrive. */
export const CHANNEL = { video: 0, videoRtcp: 1, audio: 2, audioRtcp: 3, metadata: 4 }

const PATIENCE_MS = 8000
const INTERLEAVED_MARK = 0x24

/** A bare RTSP client over TCP that keeps what it receives, for a look at single packets. */
export class RtspClient {
  readonly socket: Socket
  readonly #url: string
  readonly #packets = new Map<number, RtpPacket[]>()
  readonly #answers: RtspAnswer[] = []
  #unread: Buffer = Buffer.alloc(0)
  #cseq = 0

  /** Connects, and plays all tracks. */
  static async play(url: string): Promise<RtspClient> {
    const client = await RtspClient.connect(url)
    const { text: description } = await client.request('DESCRIBE')
    for (const [control, track] of description.matchAll(/trackID=(\d)/g)) {
      const channels = `${2 * Number(track)}-${2 * Number(track) + 1}`
      const transport = `Transport: RTP/AVP/TCP;unicast;interleaved=${channels}\r\n`
      await client.request('SETUP', `/${control}`, transport)
    }
    await client.request('PLAY')
    return client
  }

  static async connect(url: string): Promise<RtspClient> {
    const { host, hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    await once(socket, 'connect')
    return new RtspClient(socket, url.replace(/\/\/.*?(?=\/[^/])/, `//${host}`))
  }

  constructor(socket: Socket, url: string) {
    this.socket = socket
    this.#url = url
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      this.#unread = Buffer.concat([this.#unread, chunk])
      while (this.#takeMessage());
    })
  }

  async request(method: string, suffix = '', headers = ''): Promise<RtspAnswer> {
    this.#cseq += 1
    const head = `${method} ${this.#url}${suffix} RTSP/1.0\r\nCSeq: ${this.#cseq}\r\n`
    this.socket.write(`${head}${headers}\r\n`)
    await this.until(() => this.#answers.length > 0)
    return this.#answers.shift()!
  }

  packets(channel: number): RtpPacket[] {
    return this.#packets.get(channel) ?? []
  }

  /** The numbers of the video frames that have arrived. */
  get counters(): number[] {
    return this.packets(CHANNEL.video).flatMap(({ payload }) => findStamps(payload).counters)
  }

  async until(isTrue: () => boolean): Promise<void> {
    const signal = AbortSignal.timeout(PATIENCE_MS)
    while (!isTrue()) await once(this.socket, 'data', { signal })
  }

  /** Waits for some video frames more than there are now. */
  async moreFrames(count: number): Promise<void> {
    const before = this.counters.length
    await this.until(() => this.counters.length >= before + count)
  }

  #takeMessage(): boolean {
    const data = this.#unread
    const isPacket = data[0] === INTERLEAVED_MARK
    const headBytes = isPacket ? 4 : data.indexOf('\r\n\r\n') + 4
    if (headBytes < 4 || data.length < headBytes) return false
    const head = data.toString('latin1', 0, headBytes)
    const bodyBytes = isPacket ? data.readUInt16BE(2) : contentLength(head)
    if (data.length < headBytes + bodyBytes) return false
    const body = data.subarray(headBytes, headBytes + bodyBytes)
    this.#unread = data.subarray(headBytes + bodyBytes)
    if (isPacket) this.#packets.set(data[1]!, [...this.packets(data[1]!), parsePacket(body)])
    else this.#answers.push({ status: Number(head.slice(9, 12)), text: head + body.toString() })
    return true
  }
}

function contentLength(head: string): number {
  return Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0)
}

function parsePacket(packet: Buffer): RtpPacket {
  return {
    atMs: performance.now(),
    sequence: packet.readUInt16BE(2),
    timestamp: packet.readUInt32BE(4),
    payload: packet.subarray(12),
  }
}
