export { classify } from "./classify.ts";
export { collectReview } from "./collect.ts";
export type { ReviewInput } from "./model.ts";
export { maxReviewLength, renderReview, reviewPasses } from "./render.ts";
