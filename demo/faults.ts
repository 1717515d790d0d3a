/** What can be wrong with a camera; all of it can be switched on and off at any time. */
export interface Faults {
  /** Connections stay open, and nothing at all is sent, not even an RTSP answer. */
  silent: boolean
  /** No video; audio, metadata and RTCP go on. */
  videoStops: boolean
  /** No audio, though the description promises it. */
  audioStops: boolean
  /** No RTP; RTCP goes on. */
  rtpStops: boolean
  /** No RTCP. */
  rtcpStops: boolean
  /** The port is closed; clients that are connected stay so. */
  refuseConnections: boolean
  /** Every request but OPTIONS is answered with 401. */
  unauthorized: boolean
  /** Every request but OPTIONS is answered with 404. */
  notFound: boolean
  /** DESCRIBE is answered with 453, as by a camera that serves one client, and has one. */
  busy: boolean
  /** Every request but OPTIONS is answered with 401, which asks for a SHA-256 digest. */
  wantsSha256: boolean
  /** As a network that stalls: everything is kept, and delivered in a burst when it is switched off. */
  holdBack: boolean
  /** A client is sent frames at once, as by most cameras, though it may wait long for a keyframe. */
  startsMidGop: boolean
  /** Video begins so many milliseconds after PLAY; the rest at once. */
  videoLateMs: number
  /** Every tenth video frame's timestamp is so many milliseconds too early. */
  strayStampsMs: number
}

/** A camera without faults, and word of every switch. */
export function noFaults(onSwitch: () => void): Faults {
  const faults: Faults = {
    silent: false,
    videoStops: false,
    audioStops: false,
    rtpStops: false,
    rtcpStops: false,
    refuseConnections: false,
    unauthorized: false,
    notFound: false,
    busy: false,
    wantsSha256: false,
    holdBack: false,
    startsMidGop: false,
    videoLateMs: 0,
    strayStampsMs: 0,
  }
  return new Proxy(faults, {
    set(target, name, value) {
      const isSet = Reflect.set(target, name, value)
      onSwitch()
      return isSet
    },
  })
}
