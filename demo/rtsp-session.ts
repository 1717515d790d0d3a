import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { digestChallenge, isDigestValid, type Credentials } from './digest-auth.ts'
import type { Faults } from './faults.ts'
import type { LiveSource } from './live-source.ts'
import { MediaSender, type Transport } from './media-sender.ts'
import { Outbox } from './outbox.ts'
import { interleaved } from './rtp.ts'
import { formatResponse, RtspReader, type RtspRequest, type RtspResponse } from './rtsp-message.ts'
import { sessionDescription } from './sdp.ts'
import type { UdpPair } from './udp-pair.ts'

/** What a session needs from its camera. */
export interface SessionContext {
  path: string
  credentials: Credentials | undefined
  faults: Faults
  source: LiveSource
  udp: UdpPair
  onAnswer(method: string, status: number): void
}

const METHODS = 'OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, SET_PARAMETER, TEARDOWN'

/** One client's connection: its requests (RFC 2326) and the media it asked for. */
export class RtspSession {
  readonly #socket: Socket
  readonly #context: SessionContext
  readonly #outbox: Outbox
  readonly #sender: MediaSender
  readonly #id = randomBytes(4).toString('hex').toUpperCase()
  readonly #nonce = randomBytes(16).toString('hex')

  constructor(socket: Socket, context: SessionContext) {
    this.#socket = socket
    this.#context = context
    this.#outbox = new Outbox(socket, context.faults)
    this.#sender = new MediaSender(context.source, context.faults)
    const reader = new RtspReader()
    socket.setNoDelay()
    socket.on('data', (chunk: Buffer) => {
      for (const request of reader.push(chunk)) this.#handle(request)
    })
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => this.#sender.stop())
  }

  get isPlaying(): boolean {
    return this.#sender.isPlaying
  }

  /** Delivers what a fault held back, if it is over. */
  flush(): void {
    this.#outbox.flush()
  }

  disconnect(): void {
    this.#socket.destroy()
  }

  #handle(request: RtspRequest): void {
    if (this.#context.faults.silent) return
    const response = this.#answer(request)
    this.#context.onAnswer(request.method, response.status)
    this.#outbox.send(formatResponse(response, request.headers.get('cseq') ?? '0'))
    if (request.method === 'PLAY' && response.status === 200) this.#sender.report()
  }

  #answer(request: RtspRequest): RtspResponse {
    const { path, faults } = this.#context
    if (request.method === 'OPTIONS') return { status: 200, headers: { Public: METHODS } }
    if (!this.#isAuthorized(request)) {
      const challenge = digestChallenge(this.#nonce, faults.wantsSha256 ? 'SHA-256' : undefined)
      return { status: 401, headers: { 'WWW-Authenticate': challenge } }
    }
    const target = parseTarget(request.url)
    if (faults.notFound || target.path !== path) return { status: 404 }
    if (faults.busy && request.method === 'DESCRIBE') return { status: 453 }
    switch (request.method) {
      case 'DESCRIBE':
        return this.#describe(request)
      case 'SETUP':
        return this.#setup(request, target.trackIndex)
      case 'PLAY':
        return this.#play(request)
      case 'TEARDOWN':
        this.#sender.stop()
        return { status: 200 }
      case 'GET_PARAMETER':
      case 'SET_PARAMETER':
        return { status: 200, headers: { Session: this.#id } }
      default:
        return { status: 501 }
    }
  }

  #isAuthorized(request: RtspRequest): boolean {
    const { credentials, faults } = this.#context
    if (faults.unauthorized || faults.wantsSha256) return false
    if (!credentials) return true
    return isDigestValid(request.headers.get('authorization'), request, credentials, this.#nonce)
  }

  #describe(request: RtspRequest): RtspResponse {
    return {
      status: 200,
      headers: { 'Content-Base': `${request.url}/`, 'Content-Type': 'application/sdp' },
      body: sessionDescription(this.#context.source.tracks),
    }
  }

  #setup(request: RtspRequest, trackIndex: number): RtspResponse {
    const track = this.#context.source.tracks[trackIndex]
    if (!track) return { status: 404 }
    const asked = request.headers.get('transport') ?? ''
    const found = this.#tcpTransport(asked, trackIndex) ?? this.#udpTransport(asked)
    if (!found) return { status: 461 }
    const { ssrc } = this.#sender.add(track, found.transport)
    const hexSsrc = ssrc.toString(16).padStart(8, '0').toUpperCase()
    return {
      status: 200,
      headers: { Transport: `${found.header};ssrc=${hexSsrc}`, Session: `${this.#id};timeout=60` },
    }
  }

  #tcpTransport(asked: string, trackIndex: number) {
    if (!asked.includes('RTP/AVP/TCP')) return undefined
    const rtpChannel = Number(/interleaved=(\d+)/.exec(asked)?.[1] ?? 2 * trackIndex)
    const transport: Transport = {
      // In one piece, since a write for each packet would cost several times the CPU.
      rtp: (packets) =>
        this.#outbox.send(Buffer.concat(packets.map((packet) => interleaved(rtpChannel, packet)))),
      rtcp: (packet) => this.#outbox.send(interleaved(rtpChannel + 1, packet)),
    }
    const header = `RTP/AVP/TCP;unicast;interleaved=${rtpChannel}-${rtpChannel + 1}`
    return { transport, header }
  }

  #udpTransport(asked: string) {
    const clientPort = Number(/client_port=(\d+)/.exec(asked)?.[1])
    if (!clientPort) return undefined
    const { udp } = this.#context
    const host = this.#socket.remoteAddress ?? ''
    const transport: Transport = {
      rtp: (packets) => {
        for (const packet of packets) {
          this.#outbox.post(packet.length, () => udp.sendRtp(packet, clientPort, host))
        }
      },
      rtcp: (packet) =>
        this.#outbox.post(packet.length, () => udp.sendRtcp(packet, clientPort + 1, host)),
    }
    const ports = `client_port=${clientPort}-${clientPort + 1};server_port=${udp.rtpPort}-${udp.rtpPort + 1}`
    return { transport, header: `RTP/AVP;unicast;${ports}` }
  }

  #play(request: RtspRequest): RtspResponse {
    if (!this.#sender.hasTracks) return { status: 455 }
    const base = request.url.replace(/\/$/, '')
    const { tracks } = this.#context.source
    const rtpInfo = this.#sender
      .play()
      .map(({ track, sequence, timestamp }) => {
        const url = `${base}/trackID=${tracks.indexOf(track)}`
        return `url=${url};seq=${sequence};rtptime=${timestamp}`
      })
      .join(',')
    return {
      status: 200,
      headers: { Session: this.#id, Range: 'npt=0.000-', 'RTP-Info': rtpInfo },
    }
  }
}

function parseTarget(url: string): { path: string; trackIndex: number } {
  const [, path = '', track = ''] =
    /^rtsps?:\/\/[^/]*(\/.*?)\/?(?:\/trackID=(\d+))?$/.exec(url) ?? []
  return { path, trackIndex: Number(track || NaN) }
}
