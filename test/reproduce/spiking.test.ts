import { spiking } from "../../reproduce/experiments/spiking.ts";
import { shortForms } from "./short-forms.ts";

shortForms(spiking);
