export const installRivals = () => {};
export const rivalPeers = async () => [];
export const rivalStarts = async () => [];
export const rivalSizes = async () => [];
