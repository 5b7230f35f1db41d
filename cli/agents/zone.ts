/** Where servers at Lightsail are made unless the settings say it. */
export const usualZone = "eu-west-3a";
