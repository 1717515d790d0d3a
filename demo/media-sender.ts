import { randomInt } from 'node:crypto'
import type { Faults } from './faults.ts'
import type { LiveFrame, LiveSource } from './live-source.ts'
import { rtpPacket, senderReport } from './rtp.ts'
import type { Track } from './tracks.ts'

/** How a track's packets reach the client. */
export interface Transport {
  rtp(packets: Buffer[]): void
  rtcp(packet: Buffer): void
}

interface Channel {
  transport: Transport
  ssrc: number
  sequence: number
  packets: number
  octets: number
}

const REPORT_EVERY_MS = 5000
const STRAYS_EVERY = 10

/** Sends a live source to one client, from the next keyframe on unless a fault wills otherwise. */
export class MediaSender {
  readonly #source: LiveSource
  readonly #faults: Faults
  readonly #channels = new Map<Track, Channel>()
  readonly #onFrame = (frame: LiveFrame) => this.#receive(frame)
  #isPlaying = false
  /** Whether the keyframe is over at which all tracks begin. */
  #hasStarted = false
  #needsKeyframe = true
  #reportedAtMs = 0
  #playedAtMs = 0

  constructor(source: LiveSource, faults: Faults) {
    this.#source = source
    this.#faults = faults
  }

  get isPlaying(): boolean {
    return this.#isPlaying
  }

  get hasTracks(): boolean {
    return this.#channels.size > 0
  }

  add(track: Track, transport: Transport): { ssrc: number } {
    const channel = {
      transport,
      ssrc: randomInt(2 ** 32),
      sequence: randomInt(2 ** 16),
      packets: 0,
      octets: 0,
    }
    this.#channels.set(track, channel)
    return channel
  }

  /** Begins to play, and says where each track begins (for RTP-Info). */
  play(): { track: Track; sequence: number; timestamp: number }[] {
    if (!this.#isPlaying) {
      this.#isPlaying = true
      this.#hasStarted = false
      this.#needsKeyframe = true
      this.#playedAtMs = performance.now()
      this.#source.listen(this.#onFrame)
    }
    const from = this.#faults.startsMidGop ? 'frame' : 'keyframe'
    return [...this.#channels].map(([track, { sequence }]) => ({
      track,
      sequence,
      timestamp: this.#source.startTimestamp(track, from),
    }))
  }

  stop(): void {
    this.#source.unlisten(this.#onFrame)
    this.#isPlaying = false
  }

  /** FFmpeg aligns the tracks by these; later than the first packet, they would shift the stream. */
  report(): void {
    this.#reportedAtMs = performance.now()
    if (this.#faults.rtcpStops) return
    for (const [track, { transport, ssrc, packets, octets }] of this.#channels) {
      const reading = this.#source.clockReading(track)
      transport.rtcp(senderReport({ ssrc, packets, octets, ...reading }))
    }
  }

  #receive(frame: LiveFrame): void {
    if (performance.now() - this.#reportedAtMs >= REPORT_EVERY_MS) this.report()
    const isVideo = frame.track.media === 'video'
    const { silent, rtpStops, videoStops, audioStops, videoLateMs, startsMidGop } = this.#faults
    const canStart = isVideo && (frame.isEntryPoint || startsMidGop)
    if (canStart) this.#hasStarted = true
    if (!this.#hasStarted) return
    const hasNoVideo = videoStops || performance.now() - this.#playedAtMs < videoLateMs
    const hasStopped = isVideo ? hasNoVideo : audioStops && frame.track.media === 'audio'
    const isLost = silent || rtpStops || hasStopped
    if (isVideo) this.#needsKeyframe = isLost || (this.#needsKeyframe && !canStart)
    if (!isLost && !(isVideo && this.#needsKeyframe)) this.#send(frame)
  }

  #send(frame: LiveFrame): void {
    const { track, payloads } = frame
    const channel = this.#channels.get(track)
    if (!channel) return
    const timestamp = this.#stampOf(frame)
    const { payloadType, marksFrameEnd } = track
    const packets = payloads.map((payload, index) => {
      const marker = marksFrameEnd && index === payloads.length - 1
      const { ssrc, sequence } = channel
      channel.sequence = (sequence + 1) & 0xffff
      channel.packets += 1
      channel.octets += payload.length
      return rtpPacket({ payloadType, marker, sequence, timestamp, ssrc }, payload)
    })
    channel.transport.rtp(packets)
  }

  #stampOf({ track: { media, clockRate }, index, timestamp }: LiveFrame): number {
    const isStray = media === 'video' && index % STRAYS_EVERY === STRAYS_EVERY - 1
    const earlyTicks = isStray ? (this.#faults.strayStampsMs * clockRate) / 1000 : 0
    return (timestamp - earlyTicks) >>> 0
  }
}
