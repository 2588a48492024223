package shop.catalog;

import jakarta.validation.constraints.NotBlank;
import jakarta.validation.constraints.Positive;

/** Something that can be bought; {@code sku} names it, the price is in cents. */
public record Item(@NotBlank String sku, @NotBlank String title, @Positive long priceCents) {
}
