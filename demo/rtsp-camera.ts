import { once } from 'node:events'
import { createServer, type AddressInfo, type Server } from 'node:net'
import type { Clip } from './clip.ts'
import { noFaults, type Faults } from './faults.ts'
import { LiveSource, type CameraClock } from './live-source.ts'
import { RtspSession } from './rtsp-session.ts'
import { tracksOf, type Track } from './tracks.ts'
import { openUdpPair, type UdpPair } from './udp-pair.ts'

export interface CameraOptions {
  clip: Clip
  /** A free one unless given. */
  port?: number
  path?: string
  /** Without a user, nobody is asked for a password. */
  user?: string
  password?: string
  /** Adds a track of ONVIF metadata, as many cameras have. */
  metadataTrack?: boolean
  /** How fast its own clock runs: 0.9 makes nine seconds of footage in ten. */
  pace?: number
  /** Delivers frames so seldom, all of that time together; unless given, each when it is due. */
  burstMs?: number
}

/** What a client did, at which Unix time. */
export interface ClientEvent {
  atMs: number
  /** `connected`, or an RTSP method and the status it was answered with, such as `PLAY 200`. */
  what: string
}

const HOST = '127.0.0.1'
const REMEMBERED_EVENTS = 1000

/** Starts an emulated camera on loopback: an RTSP server that repeats a clip as if it were live. */
export async function startRtspCamera(options: CameraOptions): Promise<RtspCamera> {
  const listener = createServer()
  listener.listen(options.port ?? 0, HOST)
  await once(listener, 'listening')
  return new RtspCamera(options, listener, await openUdpPair())
}

/** A running camera. All its clients see the same numbered frames, each from its next keyframe on. */
export class RtspCamera {
  readonly port: number
  /** Where it is, with percent-encoded credentials. */
  readonly url: string
  readonly faults: Faults
  /** What clients did, oldest first: the last thousand events. */
  readonly events: ClientEvent[] = []
  readonly #options: CameraOptions
  readonly #path: string
  readonly #udp: UdpPair
  readonly #listener: Server
  #shouldListen = true
  readonly #sessions = new Set<RtspSession>()
  readonly #clock: CameraClock
  #source: LiveSource
  #closing: Promise<void> | undefined

  constructor(options: CameraOptions, listener: Server, udp: UdpPair) {
    this.#options = options
    this.#clock = {
      epochMs: performance.now(),
      pace: options.pace ?? 1,
      shiftMs: { video: 0, audio: 0, application: 0 },
    }
    this.#path = options.path ?? '/Preview_01_main'
    this.#listener = listener
    this.#udp = udp
    this.port = (listener.address() as AddressInfo).port
    this.url = `rtsp://${userInfo(options)}${HOST}:${this.port}${this.#path}`
    this.faults = noFaults(() => this.#applyFaults())
    this.#source = this.#sourceOf(options.clip)
    listener.on('listening', () => this.#applyFaults())
    listener.on('connection', (socket) => {
      this.#remember('connected')
      const session = new RtspSession(socket, {
        path: this.#path,
        credentials: credentialsOf(options),
        faults: this.faults,
        source: this.#source,
        udp,
        onAnswer: (method, status) => this.#remember(`${method} ${status}`),
      })
      this.#sessions.add(session)
      socket.on('close', () => this.#sessions.delete(session))
    })
  }

  /** How many clients are playing right now. */
  get playing(): number {
    return [...this.#sessions].filter((session) => session.isPlaying).length
  }

  /** Closes the connections of all clients at once. */
  disconnectAll(): void {
    for (const session of this.#sessions) session.disconnect()
  }

  /** Shows another clip to the clients that connect from now on. */
  setClip(clip: Clip): void {
    this.#source = this.#sourceOf(clip)
  }

  /** Shifts the RTP timestamps, and the clock of the sender reports, from now on. */
  timestampJumpMs(ms: number, media: Track['media'][] = ['video', 'audio', 'application']): void {
    for (const medium of media) this.#clock.shiftMs[medium] += ms
  }

  /** Lets the RTP timestamps of each track go on from a random value, in the same connections. */
  restartTimestamps(): void {
    this.#source.restartTimestamps()
  }

  /** Disconnects everyone and frees the ports. */
  close(): Promise<void> {
    this.#closing ??= this.#shutDown()
    return this.#closing
  }

  async #shutDown(): Promise<void> {
    const closed = this.#listener.listening ? once(this.#listener, 'close') : undefined
    this.#listener.close()
    this.disconnectAll()
    this.#udp.close()
    await closed
  }

  #sourceOf(clip: Clip): LiveSource {
    const { metadataTrack = false, burstMs } = this.#options
    return new LiveSource(tracksOf(clip, metadataTrack), this.#clock, burstMs)
  }

  #applyFaults(): void {
    const shouldListen = !this.faults.refuseConnections && !this.#closing
    if (shouldListen && !this.#shouldListen) this.#listener.listen(this.port, HOST)
    if (!shouldListen) this.#listener.close()
    this.#shouldListen = shouldListen
    for (const session of this.#sessions) session.flush()
  }

  #remember(what: string): void {
    this.events.push({ atMs: Date.now(), what })
    if (this.events.length > REMEMBERED_EVENTS) this.events.shift()
  }
}

function credentialsOf({ user, password = '' }: CameraOptions) {
  return user === undefined ? undefined : { user, password }
}

function userInfo(options: CameraOptions): string {
  const credentials = credentialsOf(options)
  return credentials ? `${encode(credentials.user)}:${encode(credentials.password)}@` : ''
}

// encodeURIComponent leaves the apostrophe, which an FFmpeg script would take for its quote.
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll("'", '%27')
}
